"""Which version was live when, and who or what made it so: read from the audit trail."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.audit import AuditEvent
from app.core.pagination import Slice
from app.identity import service as identity
from app.training import repository
from app.training.models import ModelVersion


class Way(StrEnum):
    """How a version went live. The values end the names of the audit trail's actions."""

    GATE = "promoted_by_gate"
    PERSON = "promoted"
    ROLL_BACK = "rolled_back"

    @property
    def action(self) -> str:
        return f"model.{self.value}"


BY_ACTION = {way.action: way for way in Way}


@dataclass(frozen=True)
class LiveChange:
    """A version that went live; `replaced` is the number of the one before. `actor` is the name of
    who decided it: None for the gate, and for whoever acted without an account."""

    at: datetime
    number: int
    replaced: int | None
    way: Way
    actor_id: UUID | None
    actor: str | None


def live_changes(
    session: Session, project_id: UUID, *, cursor: str | None = None, limit: int = 50
) -> Slice[LiveChange]:
    """Every change of the live version, the newest first."""
    found: Slice[AuditEvent] = repository.live_changes(
        session, project_id, list(BY_ACTION), cursor=cursor, limit=limit
    )
    actors = {event.actor_id for event in found.rows if event.actor_id is not None}
    names = identity.names_of(session, actors)
    return Slice([_change(event, names) for event in found.rows], found.next_cursor)


def _change(event: AuditEvent, names: dict[UUID, str]) -> LiveChange:
    return LiveChange(
        at=event.at,
        number=(event.after or {})["number"],
        replaced=(event.before or {}).get("live"),
        way=BY_ACTION[event.action],
        actor_id=event.actor_id,
        actor=names.get(event.actor_id) if event.actor_id else None,
    )


def version_before(session: Session, live: ModelVersion) -> ModelVersion | None:
    """The version that rolling back from `live` would bring back; None where there is none."""
    return repository.live_before(session, live)


def newest_change_to(session: Session, version: ModelVersion) -> LiveChange | None:
    """When and how a version went live the last time; None for one that never did."""
    event = repository.newest_live_change_to(session, version, list(BY_ACTION))
    if event is None:
        return None
    actors = [] if event.actor_id is None else [event.actor_id]
    return _change(event, identity.names_of(session, actors))

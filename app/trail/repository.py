"""The SQL of the audit trail."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.core.audit import AuditEvent
from app.core.pagination import Key, Slice, fetch_slice

NEWEST_FIRST = Key((AuditEvent.id,), ("id",), descending=True)


@dataclass(frozen=True)
class Wanted:
    """None: any. `until` is excluded."""

    project_id: UUID | None = None
    actor_id: UUID | None = None
    action: str | None = None
    object_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def page_of_events(
    session: Session, wanted: Wanted, *, cursor: str | None, limit: int
) -> Slice[AuditEvent]:
    return fetch_slice(session, _matching(wanted), NEWEST_FIRST, cursor=cursor, limit=limit)


def _matching(wanted: Wanted) -> Select[AuditEvent]:
    found = select(AuditEvent)
    for column, value in (
        (AuditEvent.project_id, wanted.project_id),
        (AuditEvent.actor_id, wanted.actor_id),
        (AuditEvent.action, wanted.action),
        (AuditEvent.object_type, wanted.object_type),
    ):
        if value is not None:
            found = found.where(column == value)
    if wanted.since is not None:
        found = found.where(AuditEvent.at >= wanted.since)
    return found if wanted.until is None else found.where(AuditEvent.at < wanted.until)

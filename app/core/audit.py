"""The audit trail: who did what to which object. Append-only by database rule, hash-chained.

Each row's hash covers the row before it, so a removed or edited row breaks the chain. What no chain
shows is that its newest rows were cut off: for that, compare with a hash noted elsewhere.
"""

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core.clock import now
from app.core.db import Base

CHECKED_AT_ONCE = 1000
# Hashes without this mark are of a time when they did not cover the project.
COVERS_PROJECT = "2:"
_CHAIN_LOCK = 0x6B697A75  # "kizu": appends are serialised, or two rows could share a parent


class Flaw(StrEnum):
    EDITED = "edited"
    UNLINKED = "unlinked"


@dataclass(frozen=True)
class ChainCheck:
    """`events` are sound, from the oldest on. `flawed_id`: the first that is not, because it was
    edited, or because the one before it was removed or replaced."""

    events: int
    newest_hash: str
    flaw: Flaw | None = None
    flawed_id: int | None = None


class AuditEvent(Base):
    __tablename__ = "audit_event"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    actor_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None] = mapped_column(index=True)
    action: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    previous_hash: Mapped[str]
    hash: Mapped[str]


def record(
    session: Session,
    action: str,
    object_type: str,
    object_id: UUID | str,
    *,
    actor_id: UUID | None = None,
    project_id: UUID | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEvent:
    """Append one event within the caller's transaction."""
    session.execute(select(func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    newest = select(AuditEvent.hash).order_by(AuditEvent.id.desc()).limit(1)
    event = AuditEvent(
        at=now(),
        actor_id=actor_id,
        project_id=project_id,
        action=action,
        object_type=object_type,
        object_id=str(object_id),
        before=before,
        after=after,
        previous_hash=session.scalar(newest) or "",
    )
    event.hash = chained_hash(event)
    session.add(event)
    session.flush()
    return event


def chained_hash(event: AuditEvent) -> str:
    return COVERS_PROJECT + _digest(event, str(event.project_id))


def _digest(event: AuditEvent, *more: str) -> str:
    body = [
        event.previous_hash,
        event.at.isoformat(),
        str(event.actor_id),
        event.action,
        event.object_type,
        event.object_id,
        event.before,
        event.after,
        *more,
    ]
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


def check_chain(session: Session) -> ChainCheck:
    """Walk the whole trail, from the oldest event to the first flaw or the end."""
    every = select(AuditEvent).order_by(AuditEvent.id)
    count, previous = 0, ""
    options = {"yield_per": CHECKED_AT_ONCE}
    with closing(session.scalars(every, execution_options=options)) as events:
        for event in events:
            flaw = _flaw(event, previous)
            if flaw is not None:
                return ChainCheck(count, previous, flaw, event.id)
            count, previous = count + 1, event.hash
    return ChainCheck(count, previous)


def _flaw(event: AuditEvent, previous: str) -> Flaw | None:
    if event.previous_hash != previous:
        return Flaw.UNLINKED
    is_old = not event.hash.startswith(COVERS_PROJECT)
    written = _digest(event) if is_old else chained_hash(event)
    return None if event.hash == written else Flaw.EDITED

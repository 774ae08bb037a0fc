"""The audit trail: who did what to which object. Append-only by database rule, hash-chained.

Each row's hash covers the row before it, so a removed or edited row breaks the chain.
"""

import hashlib
import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core.clock import now
from app.core.db import Base

_CHAIN_LOCK = 0x6B697A75  # "kizu": appends are serialised, or two rows could share a parent


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
    body = [
        event.previous_hash,
        event.at.isoformat(),
        str(event.actor_id),
        event.action,
        event.object_type,
        event.object_id,
        event.before,
        event.after,
    ]
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()

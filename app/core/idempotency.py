"""Answers kept for 24 hours under (user, route, `Idempotency-Key`), stored with their effect."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import LargeBinary, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core.clock import now
from app.core.db import Base
from app.core.errors import Conflict, Invalid

KEPT_FOR = timedelta(hours=24)


class IdempotencyKey(Base):
    __tablename__ = "idempotency_key"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    status: Mapped[int]
    headers: Mapped[dict[str, str]]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(index=True)


def claim(
    session: Session, *, user_id: UUID, route: str, key: str, request_hash: str
) -> IdempotencyKey | None:
    """The stored answer to repeat, or None when this request is the first.

    Raises `Conflict` while the first is still at work and `Invalid` when the body differs.
    """
    lock = func.hashtextextended(f"{user_id}\x1f{route}\x1f{key}", 0)
    if not session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
        raise Conflict("A request with this Idempotency-Key is still in progress.")
    stored = session.get(IdempotencyKey, (user_id, route, key))
    if stored is not None and stored.expires_at <= now():
        session.delete(stored)
        session.flush()
        return None
    if stored is not None and stored.request_hash != request_hash:
        raise Invalid("This Idempotency-Key was used with another request body.")
    return stored


def purge_expired(session: Session) -> None:
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at <= now()))

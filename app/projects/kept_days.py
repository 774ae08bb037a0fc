"""Days that are over, as they were counted: who may keep them, and who has them forgotten."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.projects.models import ProjectDay

_LOCKS = 0x6B7564  # apart from the advisory locks of contents, lots and bursts


def may_keep(session: Session, project_id: UUID) -> bool:
    """Whether days that are counted from now on, in this transaction, may be kept: not while some
    of their statements are being purged."""
    lock = func.pg_try_advisory_xact_lock_shared(_LOCKS, func.hashtext(str(project_id)))
    return bool(session.scalar(select(lock)))


def forget(session: Session, project_ids: Collection[UUID]) -> None:
    """Statements are purged in this transaction: their days are counted anew when asked for."""
    for project_id in sorted(project_ids):
        lock = func.pg_advisory_xact_lock(_LOCKS, func.hashtext(str(project_id)))
        session.execute(select(lock))
        session.execute(delete(ProjectDay).where(ProjectDay.project_id == project_id))

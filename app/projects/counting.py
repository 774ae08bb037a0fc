"""Counters of a project, written when the transaction ends.

Adjustments wait in the session and are written as its last statement, in the order of the rows'
keys. So a counter is locked for the moment of a commit only, two transactions never hold
counters in different orders, and none waits for the audit trail while it holds one.
"""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from app.projects import repository
from app.projects.models import Counter

_WAITING = "counter adjustments"
Adjustments = dict[tuple[UUID, Counter], int]


def adjust(session: Session, project_id: UUID, counter: Counter, by: int) -> None:
    if by == 0:
        return
    if session.in_nested_transaction():
        # A savepoint may be rolled back alone; what it counts must go with it.
        repository.add_to_counters(session, {(project_id, counter): by})
        return
    if not session.in_transaction():
        session.begin()
    waiting = _waiting(session)
    key = (project_id, counter)
    waiting[key] = waiting.get(key, 0) + by


def read(session: Session, project_ids: Collection[UUID]) -> dict[UUID, dict[Counter, int]]:
    """Per project its counters, with what this transaction has adjusted so far."""
    totals: dict[UUID, dict[Counter, int]] = {one: defaultdict(int) for one in project_ids}
    for project_id, counter, value in repository.counters(session, project_ids):
        totals[project_id][counter] += value
    for (project_id, counter), by in _waiting(session).items():
        if project_id in totals:
            totals[project_id][counter] += by
    return {project_id: dict(values) for project_id, values in totals.items()}


def _waiting(session: Session) -> Adjustments:
    waiting: Adjustments = session.info.setdefault(_WAITING, {})
    return waiting


@event.listens_for(Session, "before_commit")
def _write_before_commit(session: Session) -> None:
    if session.in_nested_transaction():
        return
    waiting: Adjustments = session.info.pop(_WAITING, {})
    adjustments = {key: by for key, by in waiting.items() if by}
    if adjustments:
        session.flush()
        repository.add_to_counters(session, adjustments)


@event.listens_for(Session, "after_transaction_end")
def _forget_at_the_end(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.info.pop(_WAITING, None)

"""Counters: exact under many writers, seen by their own transaction, free of deadlocks."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core import audit
from app.core.errors import Conflict
from app.projects import service
from app.projects.models import Counter
from tests.factories import make_project

WRITERS, ROUNDS = 6, 20


@pytest.fixture
def project_ids(sessions, settings):
    with sessions.begin() as session:
        return [make_project(session).id for _ in range(2)]


def test_a_transaction_sees_its_own_adjustments(session):
    project = make_project(session)
    service.adjust_counter(session, project.id, Counter.IMAGES, 2)
    service.adjust_counter(session, project.id, Counter.IMAGES, 1)
    assert service.counters(session, project.id) == {Counter.IMAGES: 3}


def test_what_is_rolled_back_is_not_counted(sessions, project_ids):
    with sessions() as session:
        service.adjust_counter(session, project_ids[0], Counter.IMAGES, 2)
        session.rollback()
        assert service.counters(session, project_ids[0]) == {}
        service.adjust_counter(session, project_ids[0], Counter.IMAGES, 1)
        session.commit()
        assert service.counters(session, project_ids[0]) == {Counter.IMAGES: 1}
        session.commit()
    with sessions() as session:
        assert service.counters(session, project_ids[0]) == {Counter.IMAGES: 1}


def test_what_a_savepoint_takes_back_is_not_counted(sessions, project_ids):
    with sessions.begin() as session:
        service.adjust_counter(session, project_ids[0], Counter.IMAGES, 1)
        with session.begin_nested() as savepoint:
            service.adjust_counter(session, project_ids[0], Counter.IMAGES, 10)
            savepoint.rollback()
        with session.begin_nested():
            service.adjust_counter(session, project_ids[0], Counter.READY, 1)
        assert service.counters(session, project_ids[0]) == {Counter.IMAGES: 1, Counter.READY: 1}
    with sessions() as session:
        assert service.counters(session, project_ids[0]) == {Counter.IMAGES: 1, Counter.READY: 1}


def test_many_writers_in_any_order_neither_lose_nor_block(sessions, project_ids):
    """Each adjusts several counters in an order of its own, and writes the audit trail between."""
    keys = [(p, c) for p in project_ids for c in (Counter.IMAGES, Counter.READY)]

    def write(number: int) -> None:
        mine = keys[number % 4 :] + keys[: number % 4]
        for turn in range(ROUNDS):
            with sessions.begin() as session:
                for place, (project_id, counter) in enumerate(mine):
                    if place == (number + turn) % 4:
                        audit.record(session, "test", "test", str(number))
                    service.adjust_counter(session, project_id, counter, 1)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    with sessions() as session:
        counted = service.counters_of(session, project_ids)
    total = WRITERS * ROUNDS
    assert list(counted.values()) == [{Counter.IMAGES: total, Counter.READY: total}] * 2


def test_two_people_make_the_same_project_once(sessions, settings):
    barrier = threading.Barrier(4)

    def create(_: int) -> str:
        barrier.wait()
        try:
            with sessions.begin() as session:
                service.create_project(session, slug="boards", name="Boards", actor_id=None)
        except Conflict:
            return "conflict"
        return "made"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(create, range(4)))
    assert sorted(outcomes) == ["conflict", "conflict", "conflict", "made"]

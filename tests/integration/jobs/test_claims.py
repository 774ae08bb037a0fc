"""One worker at a time does a job, and one that lost its lease changes nothing."""

import threading
from datetime import timedelta

import pytest

from app.core.config import get_settings
from app.core.db import make_sessions, transaction
from app.core.errors import Conflict
from app.core.queue import Queue
from app.jobs import service
from app.jobs.models import JobKind, JobState
from app.jobs.service import LeaseLost, Terms
from tests.factories import make_project
from tests.integration.jobs.conftest import LEASE, TERMS, let_lease_run_out


def test_a_claim_leases_the_job_and_raises_the_token(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    assert (job.state, job.attempts, job.fencing_token) == (JobState.RUNNING, 1, 1)
    assert job.lease_owner == "worker-1"
    assert job.started_at is not None


def test_only_one_of_many_workers_gets_a_job(engine, make_job):
    job = make_job()
    claims, barrier = [], threading.Barrier(8)

    def claim():
        barrier.wait()
        with transaction(make_sessions(engine)) as session:
            claims.append(service.claim(session, job.id, TERMS))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claim for claim in claims if claim is not None]) == 1
    assert len(claims) == 8


def test_a_duplicate_doorbell_finds_the_lease_taken(session, make_job):
    job = make_job()
    assert service.claim(session, job.id, TERMS) is not None
    assert service.claim(session, job.id, TERMS) is None


def test_a_stale_worker_changes_nothing(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    stale = job.fencing_token
    session.commit()
    let_lease_run_out(session)
    again = service.claim(session, job.id, TERMS)
    assert again.fencing_token == stale + 1
    session.commit()
    assert service.renew(session, job.id, stale, LEASE, {"progress": 0.9}) is None
    with pytest.raises(LeaseLost):
        service.hold(session, job.id, stale, LEASE)
    assert service.get_job(session, job.id).progress == 0


def test_an_expired_lease_that_nobody_took_is_renewed(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    session.commit()
    let_lease_run_out(session)
    assert service.renew(session, job.id, job.fencing_token, LEASE, {"progress": 0.5}) is False
    assert service.claim(session, job.id, TERMS) is None


def test_an_ended_job_is_never_claimed_again(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    service.succeed(session, job, {"rows": 3})
    session.commit()
    assert service.claim(session, job.id, TERMS) is None
    with pytest.raises(LeaseLost):
        service.hold(session, job.id, job.fencing_token, LEASE)
    assert (job.result, job.progress, job.lease_owner) == ({"rows": 3}, 1.0, None)


def test_a_job_whose_workers_die_is_given_up(session, make_job):
    job = make_job()
    for _ in range(TERMS.max_attempts):
        assert service.claim(session, job.id, TERMS) is not None
        session.commit()
        let_lease_run_out(session)
    assert service.claim(session, job.id, TERMS) is None
    job = service.get_job(session, job.id)
    assert job.state == JobState.FAILED
    assert job.error["code"] == "given-up"


def test_a_pause_keeps_a_job_from_being_claimed(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    service.retry_later(session, job, timedelta(seconds=30))
    session.commit()
    assert service.claim(session, job.id, TERMS) is None
    assert service.ring_waiting(session, set(Queue)) == 0
    let_lease_run_out(session)
    assert service.ring_waiting(session, set(Queue)) == 1
    assert service.claim(session, job.id, TERMS).attempts == 2


def test_a_released_job_can_be_claimed_at_once_and_lost_no_attempt(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    service.release(session, job)
    session.commit()
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert service.claim(session, job.id, TERMS).fencing_token == 2


def test_cancelling_a_queued_job_ends_it(session, make_job):
    job = service.request_cancel(session, make_job())
    assert job.state == JobState.CANCELLED
    assert service.claim(session, job.id, TERMS) is None
    assert service.request_cancel(session, job).state == JobState.CANCELLED


def test_cancelling_a_running_job_asks_its_worker(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    session.commit()
    assert service.request_cancel(session, job).state == JobState.RUNNING
    assert service.renew(session, job.id, job.fencing_token, LEASE, {}) is True


def test_a_cancelled_job_whose_worker_died_ends_at_the_next_claim(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    service.request_cancel(session, job)
    session.commit()
    let_lease_run_out(session)
    assert service.claim(session, job.id, TERMS) is None
    assert service.get_job(session, job.id).state == JobState.CANCELLED


def test_what_has_ended_cannot_be_cancelled(session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    service.succeed(session, job, {})
    with pytest.raises(Conflict, match="succeeded already"):
        service.request_cancel(session, job)


def test_a_project_trains_one_model_at_a_time(session, make_job):
    first = make_job(JobKind.TRAIN)
    second = make_job(JobKind.TRAIN, first.project_id)
    running = service.claim(session, first.id, TERMS)
    session.commit()
    assert service.claim(session, second.id, TERMS) is None
    assert service.ring_waiting(session, {Queue.TRAIN}) == 0
    service.succeed(session, running, {})
    session.commit()
    assert service.claim(session, second.id, TERMS) is not None


def test_an_interrupted_training_comes_before_its_projects_next(session, make_job):
    first = make_job(JobKind.TRAIN)
    second = make_job(JobKind.TRAIN, first.project_id)
    service.claim(session, first.id, TERMS)
    session.commit()
    let_lease_run_out(session)
    assert service.claim(session, second.id, TERMS) is None
    assert service.claim(session, first.id, TERMS).attempts == 2


def test_projects_train_in_turn(session, make_job):
    busy, other = make_project(session), make_project(session)
    jobs = [make_job(JobKind.TRAIN, busy.id) for _ in range(3)]
    jobs.append(make_job(JobKind.TRAIN, other.id))
    order = []
    while len(order) < len(jobs):
        for job in jobs:
            claimed = service.claim(session, job.id, TERMS)
            if claimed is not None:
                order.append(jobs.index(job))
                service.succeed(session, claimed, {})
            session.commit()
    assert order == [0, 3, 1, 2]


def test_two_projects_may_train_at_once(session, make_job):
    one, other = make_job(JobKind.TRAIN), make_job(JobKind.TRAIN)
    assert service.claim(session, one.id, TERMS) is not None
    assert service.claim(session, other.id, Terms("worker-2", LEASE, 3)) is not None


def test_only_the_queues_asked_for_are_rung(session, make_job):
    make_job(JobKind.EXPORT)
    make_job(JobKind.TRAIN)
    make_job(JobKind.TRAIN)
    assert service.ring_waiting(session, {Queue.CPU}) == 1
    assert service.ring_waiting(session, {Queue.TRAIN}) == 1, "the next one is rung by the first"
    assert service.ring_waiting(session, {Queue.INFER}) == 0


def test_a_broker_that_is_down_costs_time_not_the_job(session, make_job, monkeypatch):
    monkeypatch.setenv("KIZU_BROKER_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    job = make_job()
    assert service.ring_waiting(session, {Queue.CPU}) == 1
    assert service.claim(session, job.id, TERMS) is not None

"""A job that many workers share: each chunk once, the last one ends the job."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.db import make_sessions
from app.core.queue import Queue
from app.jobs import chunks, repository, service
from app.jobs.chunks import ChunkKey
from app.jobs.models import JobChunk, JobKind, JobState
from app.jobs.service import LeaseLost
from tests.integration.jobs.conftest import LEASE, TERMS, let_lease_run_out


@pytest.fixture
def shared(session, make_job):
    """A job whose three chunks wait."""
    job = service.claim(session, make_job(JobKind.PREDICT).id, TERMS)
    chunks.share_out(
        session, job, [{"part": part} for part in "abc"], result={"version": 7}, stage="Counting"
    )
    session.commit()
    return job


def claim(session, job, number):
    claimed = chunks.claim(session, job.id, number, TERMS)
    session.commit()
    return claimed


def key_of(chunk):
    return ChunkKey(chunk.job_id, chunk.number, chunk.fencing_token)


def finish(session, job, number, done=None):
    claimed = claim(session, job, number)
    held, chunk = chunks.hold_with_job(session, key_of(claimed[1]), LEASE)
    chunks.succeed(session, held, chunk, {"number": number}, done)
    session.commit()
    return held


def test_while_chunks_are_at_work_the_job_itself_cannot_be_claimed(session, shared):
    assert shared.state == JobState.RUNNING
    assert service.claim(session, shared.id, TERMS) is None
    assert service.ring_waiting(session, {Queue.INFER}) == 3, "its chunks can"


def test_the_last_chunk_ends_the_job(session, shared):
    collected = []

    def done(_session, job, results):
        collected.extend(results)
        job.result = {**job.result, "count": len(results)}

    assert finish(session, shared, 2, done).progress == pytest.approx(1 / 3)
    assert finish(session, shared, 0, done).eta_seconds is not None
    job = finish(session, shared, 1, done)
    assert collected == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert (job.state, job.progress) == (JobState.SUCCEEDED, 1.0)
    assert job.result == {"version": 7, "count": 3}


def test_the_job_shows_the_mean_over_its_chunks_while_they_are_at_work(session, shared):
    assert shared.stage == "Counting"
    keys = [key_of(claim(session, shared, number)[1]) for number in (0, 1)]
    for key, fraction in zip(keys, (0.5, 0.25), strict=True):
        assert chunks.renew(session, key, LEASE, {"progress": fraction}) is False
        session.commit()
    job = service.get_job(session, shared.id)
    assert job.progress == pytest.approx(0.25)
    assert job.eta_seconds is not None
    chunks.renew(session, keys[0], LEASE, {})
    let_lease_run_out(session, JobChunk)
    claim(session, shared, 0)
    chunks.renew(session, keys[1], LEASE, {"progress": 0.5})
    session.commit()
    again = service.get_job(session, shared.id).progress
    assert again == pytest.approx(0.5 / 3), "a chunk begun anew has done nothing yet"


def test_news_of_a_chunk_waits_for_nobody_who_holds_the_job(engine, session, shared):
    """Who ends a chunk holds the job first, and then waits for the chunk."""
    key = key_of(claim(session, shared, 0)[1])
    with make_sessions(engine)() as other:
        repository.lock(other, shared.id)
        session.execute(text("SET LOCAL lock_timeout = '1s'"))
        assert chunks.renew(session, key, LEASE, {"progress": 0.5}) is False
        session.commit()
    assert service.get_job(session, shared.id).progress == 0.0
    chunks.renew(session, key, LEASE, {"progress": 0.5})
    session.commit()
    assert service.get_job(session, shared.id).progress == pytest.approx(0.5 / 3)


def test_each_chunk_is_done_once_by_many_workers(engine, session, shared):
    done, endings = [], []

    def work():
        with make_sessions(engine)() as mine:
            for number in range(3):
                claimed = claim(mine, shared, number)
                if claimed is None:
                    continue
                done.append(number)
                job, chunk = chunks.hold_with_job(mine, key_of(claimed[1]), LEASE)
                chunks.succeed(mine, job, chunk, {}, lambda *_: endings.append(1))
                mine.commit()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 1, 2]
    assert endings == [1]
    session.expire_all()
    assert service.get_job(session, shared.id).state == JobState.SUCCEEDED


def test_a_stale_chunk_changes_nothing(session, shared):
    _, chunk = claim(session, shared, 0)
    stale = key_of(chunk)
    let_lease_run_out(session, JobChunk)
    assert claim(session, shared, 0)[1].fencing_token == stale.token + 1
    assert chunks.renew(session, stale, LEASE, {"progress": 0.9}) is None
    with pytest.raises(LeaseLost):
        chunks.hold(session, stale, LEASE)


def test_a_chunk_that_fails_fails_the_job_and_stops_the_others(session, shared):
    _, busy = claim(session, shared, 0)
    _, broken = claim(session, shared, 1)
    job, chunk = chunks.hold_with_job(session, key_of(broken), LEASE)
    chunks.fail(session, job, chunk, {"title": "t", "detail": "d", "code": "c"})
    session.commit()
    assert job.state == JobState.FAILED
    assert chunks.renew(session, key_of(busy), LEASE, {}) is None
    assert claim(session, shared, 2) is None
    assert service.ring_waiting(session, {Queue.INFER}) == 0


def test_a_chunk_whose_workers_die_fails_the_job(session, shared):
    for _ in range(TERMS.max_attempts):
        assert claim(session, shared, 0) is not None
        let_lease_run_out(session, JobChunk)
    assert claim(session, shared, 0) is None
    assert service.get_job(session, shared.id).error["code"] == "given-up"


def test_a_chunk_that_pauses_is_not_claimed(session, shared):
    _, chunk = claim(session, shared, 0)
    job, chunk = chunks.hold_with_job(session, key_of(chunk), LEASE)
    chunks.retry_later(session, job, chunk, timedelta(seconds=30))
    session.commit()
    assert claim(session, shared, 0) is None
    assert service.ring_waiting(session, {Queue.INFER}) == 2


def test_cancelling_ends_a_shared_job_at_once_when_no_chunk_is_at_work(session, shared):
    assert service.request_cancel(session, shared).state == JobState.CANCELLED


def test_cancelling_ends_a_shared_job_when_its_last_worker_leaves(session, shared):
    claimed = [claim(session, shared, number)[1] for number in (0, 1)]
    assert service.request_cancel(session, shared).state == JobState.RUNNING
    session.commit()
    assert chunks.renew(session, key_of(claimed[0]), LEASE, {}) is True
    states = []
    for chunk in claimed:
        job, held = chunks.hold_with_job(session, key_of(chunk), LEASE)
        chunks.release(session, job, held)
        session.commit()
        states.append(job.state)
    assert states == [JobState.RUNNING, JobState.CANCELLED]


def test_a_cancelled_shared_job_ends_though_its_worker_died(session, shared):
    claim(session, shared, 0)
    service.request_cancel(session, shared)
    session.commit()
    let_lease_run_out(session, JobChunk)
    assert claim(session, shared, 0) is None
    assert service.get_job(session, shared.id).state == JobState.CANCELLED


def test_chunks_of_an_ended_job_stay_as_they_were(session, shared):
    service.end(session, service.get_job(session, shared.id), JobState.CANCELLED)
    session.commit()
    assert claim(session, shared, 1) is None
    assert repository.count_chunks(session, shared.id) == {JobState.QUEUED: 3}

"""Rules of a job that many workers share: each claims chunks; the last one ends the job.

While its chunks are at work the job itself is running without a lease. Everything that could end
it locks the job's row before the chunk's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.jobs import repository, service
from app.jobs.models import Job, JobChunk, JobState
from app.jobs.service import LeaseLost, Terms

OnJobSuccess = Callable[[Session, Job, list[dict[str, Any]]], None]


@dataclass(frozen=True)
class ChunkKey:
    """One claim of one chunk."""

    job_id: UUID
    number: int
    token: int


def share_out(
    session: Session,
    job: Job,
    payloads: Sequence[dict[str, Any]],
    *,
    result: dict[str, Any],
    stage: str,
) -> None:
    """Let chunk tasks do the rest of a job that this worker holds; `result` is kept for them."""
    repository.add_chunks(session, job.id, payloads)
    job.result = result
    job.stage = stage
    job.lease_owner = None
    job.lease_expires_at = None
    session.flush()
    for number in range(len(payloads)):
        service.ring_chunk(session, job, number)


def claim(session: Session, job_id: UUID, number: int, terms: Terms) -> tuple[Job, JobChunk] | None:
    """The chunk, leased to this worker, and its job; None when there is nothing to do."""
    job = repository.lock(session, job_id, Job.state == JobState.RUNNING)
    if job is None:
        return None
    chunk = repository.lock_chunk(session, job_id, number, repository.claimable(JobChunk))
    if chunk is None:
        return None
    if job.cancel_requested:
        _settle(session, job)
        return None
    if chunk.attempts >= terms.max_attempts:
        service.fail(session, job, service.given_up(chunk.attempts))
        return None
    chunk.state = JobState.RUNNING
    chunk.progress = 0.0
    chunk.attempts += 1
    chunk.fencing_token += 1
    chunk.lease_owner = terms.owner
    chunk.lease_expires_at = repository.clock(session) + terms.lease
    session.flush()
    return job, chunk


def hold(session: Session, key: ChunkKey, lease: timedelta) -> JobChunk:
    """The running chunk, held until the transaction ends. Raises `LeaseLost`."""
    mine = (JobChunk.fencing_token == key.token, JobChunk.state == JobState.RUNNING)
    chunk = repository.lock_chunk(session, key.job_id, key.number, *mine)
    if chunk is None or service.get_job(session, key.job_id).state != JobState.RUNNING:
        raise LeaseLost(f"{key.job_id}/{key.number}")
    chunk.lease_expires_at = repository.clock(session) + lease
    return chunk


def hold_with_job(session: Session, key: ChunkKey, lease: timedelta) -> tuple[Job, JobChunk]:
    """As `hold`, with the job held too: for everything that may end it."""
    job = repository.lock(session, key.job_id, Job.state == JobState.RUNNING)
    if job is None:
        raise LeaseLost(f"{key.job_id}/{key.number}")
    return job, hold(session, key, lease)


def renew(
    session: Session, key: ChunkKey, lease: timedelta, news: Mapping[str, Any]
) -> bool | None:
    """Extend the lease and note progress; whether to cancel, or None when the lease is lost."""
    answer = repository.renew_chunk(
        session, key.job_id, key.number, key.token, lease=lease, news=news
    )
    if answer is not None and news:
        # The chunk is held here, so the job's row is not waited for; the next news counts too.
        job = repository.lock_at_once(session, key.job_id, Job.state == JobState.RUNNING)
        if job is not None:
            _note_progress(session, job)
    return answer


def succeed(
    session: Session,
    job: Job,
    chunk: JobChunk,
    result: dict[str, Any] | None,
    on_job_success: OnJobSuccess | None,
) -> None:
    """Finish a chunk; the last one ends the job, in the same transaction."""
    chunk.result = result
    chunk.progress = 1.0
    _give_back(chunk, JobState.SUCCEEDED)
    session.flush()
    counts = repository.count_chunks(session, job.id)
    if job.cancel_requested:
        _settle(session, job)
    elif set(counts) == {JobState.SUCCEEDED}:
        if on_job_success is not None:
            on_job_success(session, job, repository.chunk_results(session, job.id))
        service.succeed(session, job, job.result)
    else:
        _note_progress(session, job)


def _note_progress(session: Session, job: Job) -> None:
    """The mean over all chunks, and what is left if it goes on as since the start."""
    done = repository.mean_chunk_progress(session, job.id)
    job.progress = done
    if job.started_at is not None and done > 0:
        seconds = (repository.clock(session) - job.started_at).total_seconds()
        job.eta_seconds = round(max(seconds, 0.0) / done * (1 - done), 1)


def fail(session: Session, job: Job, chunk: JobChunk, error: dict[str, Any]) -> None:
    """A chunk that cannot be done fails the whole job."""
    _give_back(chunk, JobState.FAILED)
    service.fail(session, job, error)


def retry_later(session: Session, job: Job, chunk: JobChunk, pause: timedelta) -> None:
    _give_back(chunk, JobState.QUEUED)
    chunk.lease_expires_at = repository.clock(session) + pause
    session.flush()
    _settle(session, job)


def release(session: Session, job: Job, chunk: JobChunk) -> None:
    """Back to the queue at once; the job is cancelled here if that was asked."""
    _give_back(chunk, JobState.QUEUED)
    chunk.attempts -= 1
    session.flush()
    _settle(session, job)
    if job.state == JobState.RUNNING:
        service.ring_chunk(session, job, chunk.number)


def _settle(session: Session, job: Job) -> None:
    """Cancel the job once its last worker has left it, if that was asked."""
    if job.cancel_requested and not repository.has_chunk_at_work(session, job.id):
        service.end(session, job, JobState.CANCELLED)


def _give_back(chunk: JobChunk, state: JobState) -> None:
    chunk.state = state
    chunk.lease_owner = None
    chunk.lease_expires_at = None

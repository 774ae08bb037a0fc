"""Rules of jobs: the row is the truth, a message is only a doorbell (docs/adr/0003).

A worker claims a row with a lease and a fencing token that every claim raises; all it writes
passes through `hold` or `renew`, which refuse a token that is no longer the row's.
Chunks of a job, which many workers share, are in `chunks`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.core import queue
from app.core.clock import now
from app.core.errors import Conflict, NotFound
from app.core.pagination import Slice
from app.core.queue import Queue
from app.jobs import repository
from app.jobs.contracts import ROUTES
from app.jobs.models import Job, JobKind, JobLogLine, JobState

ENDED = frozenset(repository.ENDED)
HEARTBEATS_KEPT_FOR = timedelta(days=1)
LOG_TAIL = 50


class LeaseLost(Exception):
    """Another worker has this job now, or it has ended: whoever meets this may write nothing."""


@dataclass(frozen=True)
class Terms:
    """What a claim is made under."""

    owner: str
    lease: timedelta
    max_attempts: int


@dataclass(frozen=True)
class LogLine:
    at: datetime
    level: str
    message: str


def create_job(
    session: Session,
    *,
    kind: JobKind,
    project_id: UUID | None,
    payload: BaseModel,
    created_by: UUID | None,
) -> Job:
    """Add a job; its doorbell rings once the transaction is committed."""
    job = Job(
        kind=kind,
        project_id=project_id,
        payload=payload.model_dump(mode="json"),
        created_by=created_by,
    )
    session.add(job)
    session.flush()
    ring(session, job)
    return job


def ring(session: Session, job: Job) -> None:
    route = ROUTES[JobKind(job.kind)]
    queue.ring(session, route.task, route.queue, job_id=str(job.id))


def get_job(session: Session, job_id: UUID) -> Job:
    job = repository.get(session, job_id)
    if job is None:
        raise NotFound("There is no such job.")
    return job


def list_jobs(
    session: Session,
    *,
    project_id: UUID | None = None,
    kind: JobKind | None = None,
    state: JobState | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[Job]:
    """Jobs, newest first."""
    conditions = {"project_id": project_id, "kind": kind, "state": state}
    return repository.listing(session, conditions, cursor=cursor, limit=limit)


def list_log(
    session: Session,
    job_id: UUID,
    *,
    newest_first: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[JobLogLine]:
    return repository.log_lines(
        session, job_id, newest_first=newest_first, cursor=cursor, limit=limit
    )


def log_tail(session: Session, job_id: UUID) -> list[JobLogLine]:
    """The last lines, oldest first."""
    return list_log(session, job_id, newest_first=True, limit=LOG_TAIL).rows[::-1]


def claim(session: Session, job_id: UUID, terms: Terms) -> Job | None:
    """The job, leased to this worker; None when there is nothing to do: a worker has it, it
    pauses, it has ended (or ends here: cancelled, or tried too often), it is not its turn."""
    job = repository.get(session, job_id)
    if job is None:
        return None
    if job.kind == JobKind.TRAIN and not _is_its_turn(session, job_id):
        return None
    held = repository.lock(session, job_id, repository.claimable(Job))
    if held is None:
        return None
    if held.cancel_requested:
        end(session, held, JobState.CANCELLED)
        return None
    if held.attempts >= terms.max_attempts:
        fail(session, held, given_up(held.attempts))
        return None
    _lease_to(session, held, terms)
    return held


def _is_its_turn(session: Session, job_id: UUID) -> bool:
    """One training per project at a time, projects in turn; whoever is due instead is rung."""
    repository.lock_training_turn(session)
    due = repository.due_training(session)
    if due is not None and due.id != job_id:
        ring(session, due)
    return due is not None and due.id == job_id


def _lease_to(session: Session, job: Job, terms: Terms) -> None:
    moment = repository.clock(session)
    job.state = JobState.RUNNING
    job.attempts += 1
    job.fencing_token += 1
    job.lease_owner = terms.owner
    job.lease_expires_at = moment + terms.lease
    job.started_at = job.started_at or moment
    session.flush()
    if job.kind == JobKind.TRAIN:
        ring_due_training(session)


def ring_due_training(session: Session) -> None:
    due = repository.due_training(session)
    if due is not None:
        ring(session, due)


def given_up(attempts: int) -> dict[str, Any]:
    """The error of a job whose workers died under it, each time without a word."""
    detail = f"The worker died {attempts} times while it did this; it may need more memory."
    return {"title": "The job was given up", "detail": detail, "code": "given-up"}


def hold(session: Session, job_id: UUID, token: int, lease: timedelta) -> Job:
    """The running job, held until the transaction ends and leased on from here.

    Raises `LeaseLost` when the token is not the row's.
    """
    mine = (Job.fencing_token == token, Job.state == JobState.RUNNING)
    job = repository.lock(session, job_id, *mine)
    if job is None:
        raise LeaseLost(str(job_id))
    job.lease_expires_at = repository.clock(session) + lease
    return job


def renew(
    session: Session, job_id: UUID, token: int, lease: timedelta, news: Mapping[str, Any]
) -> bool | None:
    """Extend the lease and note progress; whether to cancel, or None when the lease is lost."""
    return repository.renew(session, job_id, token, lease=lease, news=news)


def add_log(session: Session, job_id: UUID, lines: Sequence[LogLine]) -> None:
    repository.add_log_lines(session, job_id, [(x.at, x.level, x.message) for x in lines])


def succeed(session: Session, job: Job, result: dict[str, Any] | None) -> None:
    job.result = result
    job.progress = 1.0
    end(session, job, JobState.SUCCEEDED)


def fail(session: Session, job: Job, error: dict[str, Any]) -> None:
    """End a job; `error` has `title`, `detail` (a plain sentence) and `code`."""
    job.error = error
    end(session, job, JobState.FAILED)


def end(session: Session, job: Job, state: JobState) -> None:
    job.state = state
    job.finished_at = now()
    job.eta_seconds = None
    _give_back(job)
    session.flush()
    if job.kind == JobKind.TRAIN:
        ring_due_training(session)


def retry_later(session: Session, job: Job, pause: timedelta) -> None:
    """Back to the queue; the sweep rings when the pause is over."""
    _give_back(job)
    job.state = JobState.QUEUED
    job.lease_expires_at = repository.clock(session) + pause
    session.flush()


def release(session: Session, job: Job) -> None:
    """Back to the queue at once. An attempt that was asked to stop does not count."""
    _give_back(job)
    job.state = JobState.QUEUED
    job.attempts -= 1
    session.flush()
    ring(session, job)


def _give_back(job: Job) -> None:
    job.lease_owner = None
    job.lease_expires_at = None


def request_cancel(session: Session, job: Job) -> Job:
    """Cancel at once what nobody works on; ask the workers of everything else.

    Raises `Conflict` when the job has ended otherwise. Cancelling twice changes nothing.
    """
    held = repository.lock(session, job.id)
    if held is None:
        raise NotFound("There is no such job.")
    if held.state in ENDED and held.state != JobState.CANCELLED:
        raise Conflict(f"The job has {held.state} already.")
    held.cancel_requested = True
    shared = held.state == JobState.RUNNING and held.lease_owner is None
    if held.state == JobState.QUEUED or (
        shared and not repository.has_chunk_at_work(session, held.id)
    ):
        end(session, held, JobState.CANCELLED)
    session.flush()
    return held


def ring_waiting(session: Session, queues: Collection[Queue], *, limit: int = 200) -> int:
    """Ring for every job and chunk of these queues that nobody works on; how many there were."""
    kinds = [k for k, route in ROUTES.items() if route.queue in queues and k is not JobKind.TRAIN]
    waiting = repository.claimable_jobs(session, kinds=kinds, limit=limit)
    due = repository.due_training(session) if Queue.TRAIN in queues else None
    for job in [*waiting, due] if due is not None else waiting:
        ring(session, job)
    chunks = [
        (job, number)
        for job, number in repository.claimable_chunks(session, limit=limit)
        if ROUTES[JobKind(job.kind)].queue in queues
    ]
    for job, number in chunks:
        ring_chunk(session, job, number)
    return len(waiting) + len(chunks) + (due is not None)


def ring_chunk(session: Session, job: Job, number: int) -> None:
    route = ROUTES[JobKind(job.kind)]
    assert route.chunk_task is not None
    queue.ring(session, route.chunk_task, route.queue, job_id=str(job.id), number=number)


def ended_jobs(session: Session, job_ids: Collection[UUID]) -> set[UUID]:
    """Those of these jobs that will never run again."""
    return repository.ended(session, job_ids) if job_ids else set()


def beat(session: Session, *, name: str, queue: str, device: str) -> None:
    """Note that a worker lives."""
    repository.beat(session, name=name, queue=queue, device=device)


def seconds_since_beat(session: Session, name: str) -> float | None:
    """How long ago that worker was heard; None when it never was."""
    return repository.seconds_since_beat(session, name)


def forget_silent_workers(session: Session) -> None:
    repository.forget_heartbeats(session, older_than=HEARTBEATS_KEPT_FOR)

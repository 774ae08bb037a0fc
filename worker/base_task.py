"""How a task does a job: claim the row, keep the lease, work, end the row; all under its token.

A task is `run_job(job_id, work)`, or `run_chunk(job_id, number, work)` for one share of a job
that many workers do. `work` asks `should_stop()` often and raises `JobStopped` when told so.
"""

import contextlib
import errno
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session, sessionmaker

from app.core.config import Settings
from app.core.errors import KizuError, OutOfSpace, Unavailable
from app.core.storage import ObjectStore
from app.jobs import chunks
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.jobs.service import LeaseLost as LeaseLost
from app.jobs.service import Terms
from worker import process
from worker.claims import ChunkClaim, JobClaim
from worker.lease import Lease, lease_of
from worker.process import Process, this_process

log = structlog.get_logger()

SHORTEST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=1)
DISK_FULL = {
    "title": OutOfSpace.title,
    "detail": "The disk is full. Free some space, then start the job again.",
    "code": OutOfSpace.code,
}


class JobStopped(Exception):
    """Raised by `work` when `should_stop()` is true."""


@dataclass(frozen=True)
class Chunks:
    """Returned by a job's work: chunk tasks do the rest; `result` is kept for them."""

    payloads: list[dict[str, Any]]
    result: dict[str, Any] = field(default_factory=dict)
    stage: str = ""


@dataclass
class Run:
    """What jobs and chunks have in common."""

    job_id: UUID
    project_id: UUID | None
    kind: JobKind
    payload: dict[str, Any]
    attempt: int
    fencing_token: int
    settings: Settings
    store: ObjectStore
    sessions: sessionmaker[Session]
    workdir: Path
    blob_prefix: str
    claim: JobClaim | ChunkClaim
    lease: Lease

    def transaction(self) -> AbstractContextManager[Session]:
        """One transaction that holds the row under our token. Raises `LeaseLost`."""
        self.tick()
        return process.held_transaction(self.sessions, self.claim.hold)

    def tick(self) -> None:
        """The loop moves. Without ticks for `job_stall_seconds` the lease is not renewed."""
        self.lease.tick()

    def should_stop(self) -> bool:
        """Cancelled, told to end, or taken over by another worker. Cheap; counts as a tick."""
        self.tick()
        return process.is_stopping() or self.lease.is_lost or self.lease.is_cancelled

    def ensure_not_stopped(self) -> None:
        """Raise `JobStopped` if `should_stop()`."""
        if self.should_stop():
            raise JobStopped(str(self.job_id))

    def log(self, message: str, level: str = "info") -> None:
        """A line of the job's log, which people read."""
        self.lease.note_line(level, message)


@dataclass
class JobRun(Run):
    """What a job's work gets."""

    claim: JobClaim

    def report(
        self,
        fraction: float,
        stage: str,
        *,
        eta_seconds: float | None = None,
        metrics: dict[str, Any] | None = None,
    ) -> None:
        """Progress, written about once a second; counts as a tick."""
        news = {"progress": min(max(fraction, 0.0), 1.0), "stage": stage}
        measured = {} if metrics is None else {"metrics": metrics}
        self.lease.note_progress({**news, "eta_seconds": eta_seconds, **measured})


@dataclass
class ChunkRun(Run):
    """What a chunk's work gets; `payload` is the chunk's own."""

    claim: ChunkClaim
    number: int
    job_payload: dict[str, Any]
    job_result: dict[str, Any]

    def report(self, fraction: float) -> None:
        """Progress of this chunk, written about once a second; counts as a tick."""
        self.lease.note_progress({"progress": min(max(fraction, 0.0), 1.0)})


Outcome = dict[str, Any] | Chunks | None
Work = Callable[[JobRun], Outcome]
OnSuccess = Callable[[Session, Job, dict[str, Any]], None]
ChunkWork = Callable[[ChunkRun], dict[str, Any] | None]
OnJobSuccess = Callable[[Session, Job, list[dict[str, Any]]], None]


def run_job(job_id: str, work: Work, *, on_success: OnSuccess | None = None) -> None:
    """Do a job, unless another worker does it or it has ended.

    `on_success` runs in the transaction that ends the job. Errors that Kizu knows fail the job
    at once; others put it back until its attempts are used up.
    """
    here = this_process()
    claim = process.persist(
        here.sessions, lambda session: JobClaim.take(session, UUID(job_id), _terms(here))
    )
    if claim is not None:
        run = JobRun(**_common(here, claim, payload=claim.job.payload))
        _do(run, lambda: _finish_job(run, work(run), on_success))


def run_chunk(
    job_id: str, number: int, work: ChunkWork, *, on_job_success: OnJobSuccess | None = None
) -> None:
    """Do one chunk. `on_job_success` gets all chunks' results, in the transaction that ends the
    job; a chunk that fails for good fails the job."""
    here = this_process()
    claim = process.persist(
        here.sessions, lambda session: ChunkClaim.take(session, UUID(job_id), number, _terms(here))
    )
    if claim is not None:
        run = ChunkRun(
            **_common(here, claim, payload=claim.payload),
            number=number,
            job_payload=claim.job.payload,
            job_result=claim.job.result or {},
        )
        _do(run, lambda: _finish_chunk(run, work(run), on_job_success))


def _terms(here: Process) -> Terms:
    return Terms(here.owner, lease_of(here.settings), here.settings.job_max_attempts)


def _common(
    here: Process, claim: JobClaim | ChunkClaim, *, payload: dict[str, Any]
) -> dict[str, Any]:
    workdir = work_root(here.settings) / str(claim.job_id)
    workdir.mkdir(parents=True, exist_ok=True)
    return {
        "job_id": claim.job_id,
        "project_id": claim.job.project_id,
        "kind": JobKind(claim.job.kind),
        "payload": payload,
        "attempt": claim.attempt,
        "fencing_token": claim.token,
        "settings": here.settings,
        "store": here.store,
        "sessions": here.sessions,
        "workdir": workdir,
        "blob_prefix": claim.blob_prefix,
        "claim": claim,
        "lease": Lease(claim, here.sessions, here.settings),
    }


def work_root(settings: Settings) -> Path:
    """Where jobs keep what survives an attempt: a folder for each."""
    return settings.data_dir / "work"


def _do(run: Run, do: Callable[[], None]) -> None:
    structlog.contextvars.bind_contextvars(job=str(run.job_id), kind=run.kind.value)
    try:
        with run.lease:
            try:
                do()
            except Exception as error:
                _end_badly(run, error)
            except BaseException as error:
                _end_badly(run, error)
                raise
    except LeaseLost:
        log.warning("taken over by another worker, or ended; nothing is written")
    finally:
        structlog.contextvars.unbind_contextvars("job", "kind")


def _finish_job(
    run: JobRun, outcome: "dict[str, Any] | Chunks | None", done: OnSuccess | None
) -> None:
    claim = run.claim

    def write(session: Session) -> Job:
        job = claim.hold(session)
        if isinstance(outcome, Chunks) and outcome.payloads:
            chunks.share_out(
                session, job, outcome.payloads, result=outcome.result, stage=outcome.stage
            )
            return job
        result = outcome.result if isinstance(outcome, Chunks) else outcome or {}
        if done is not None:
            done(session, job, result)
        jobs.succeed(session, job, result)
        return job

    process.patiently(run.lease.deliver)
    _tidy(run, process.persist(run.sessions, write))


def _finish_chunk(
    run: ChunkRun, result: "dict[str, Any] | None", done: OnJobSuccess | None
) -> None:
    claim = run.claim
    process.patiently(run.lease.deliver)
    _tidy(run, process.persist(run.sessions, lambda s: claim.succeed(s, result, done)))


def _end_badly(run: Run, error: BaseException) -> None:
    """Fail, put back, or hand on a claim whose work raised. Raises `LeaseLost`."""
    if isinstance(error, LeaseLost):
        raise error
    end = _ending(run, error)
    with contextlib.suppress(LeaseLost):
        process.patiently(run.lease.deliver)
    _tidy(run, process.persist(run.sessions, end))


def _ending(run: Run, error: BaseException) -> Callable[[Session], Job]:
    claim = run.claim
    if isinstance(error, JobStopped) or not isinstance(error, Exception):
        run.log("Stopped; it goes on from here unless it was cancelled.")
        if process.is_stopping() or not isinstance(error, Exception):
            return claim.release
        return lambda session: claim.retry_later(session, SHORTEST_PAUSE)
    if isinstance(error, KizuError) and not isinstance(error, OutOfSpace | Unavailable):
        described = {"title": error.title, "detail": error.detail, "code": error.code}
        run.log(error.detail, "error")
        return lambda session: claim.fail(session, described)
    log.error("a job's work failed", attempt=run.attempt, exc_info=error)
    described = DISK_FULL if is_disk_full(error) else _unexpected(run, error)
    run.log(described["detail"], "error")
    if run.attempt >= run.settings.job_max_attempts:
        return lambda session: claim.fail(session, described)
    pause = min(timedelta(seconds=2**run.attempt), LONGEST_PAUSE)
    if described is DISK_FULL:
        pause = LONGEST_PAUSE
    return lambda session: claim.retry_later(session, pause)


def _unexpected(run: Run, error: Exception) -> dict[str, str]:
    detail = f"Attempt {run.attempt} met an unexpected error ({type(error).__name__}: {error})."
    return {"title": "The job failed", "detail": detail, "code": KizuError.code}


def is_disk_full(error: BaseException | None) -> bool:
    """Whether this error, or one that caused it, says that no space is left."""
    while error is not None:
        if isinstance(error, OutOfSpace) or getattr(error, "errno", None) == errno.ENOSPC:
            return True
        if "No space left" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _tidy(run: Run, job: Job) -> None:
    """Once a job has ended for good, nobody needs its work folder or other attempts' files."""
    if job.state not in jobs.ENDED:
        return
    shutil.rmtree(run.workdir, ignore_errors=True)
    try:
        for key in list(run.store.keys(f"jobs/{run.job_id}")):
            if not _is_kept(run, job, key):
                run.store.delete(key)
    # The job has ended; files that nobody looks at are no reason to say otherwise.
    except Exception as error:
        log.warning("files of earlier attempts remain", error=str(error))


def _is_kept(run: Run, job: Job, key: str) -> bool:
    shared = isinstance(run, ChunkRun)
    return job.state == JobState.SUCCEEDED and (shared or key.startswith(f"{run.blob_prefix}/"))

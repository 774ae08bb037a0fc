"""The two things a worker can claim, a job and a chunk of one, behind one set of methods."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy.orm import Session

from app.jobs import chunks
from app.jobs import service as jobs
from app.jobs.chunks import ChunkKey, OnJobSuccess
from app.jobs.models import Job, JobState
from app.jobs.service import Terms


@dataclass(frozen=True)
class JobClaim:
    """A whole job; `job` is the row as it was claimed."""

    job: Job
    token: int
    attempt: int
    lease: timedelta

    @classmethod
    def take(cls, session: Session, job_id: UUID, terms: Terms) -> Self | None:
        job = jobs.claim(session, job_id, terms)
        if job is None:
            return None
        return cls(job, job.fencing_token, job.attempts, terms.lease)

    @property
    def job_id(self) -> UUID:
        return self.job.id

    @property
    def blob_prefix(self) -> str:
        return f"jobs/{self.job.id}/{self.token}"

    def renew(self, session: Session, news: dict[str, Any]) -> bool | None:
        return jobs.renew(session, self.job.id, self.token, self.lease, news)

    def hold(self, session: Session) -> Job:
        return jobs.hold(session, self.job.id, self.token, self.lease)

    def fail(self, session: Session, error: dict[str, Any]) -> Job:
        job = self.hold(session)
        jobs.fail(session, job, error)
        return job

    def retry_later(self, session: Session, pause: timedelta) -> Job:
        job = self.hold(session)
        if job.cancel_requested:
            jobs.end(session, job, JobState.CANCELLED)
        else:
            jobs.retry_later(session, job, pause)
        return job

    def release(self, session: Session) -> Job:
        job = self.hold(session)
        if job.cancel_requested:
            jobs.end(session, job, JobState.CANCELLED)
        else:
            jobs.release(session, job)
        return job


@dataclass(frozen=True)
class ChunkClaim:
    """One chunk; `job` is the row of its job as it was then."""

    job: Job
    key: ChunkKey
    payload: dict[str, Any]
    attempt: int
    lease: timedelta

    @classmethod
    def take(cls, session: Session, job_id: UUID, number: int, terms: Terms) -> Self | None:
        claimed = chunks.claim(session, job_id, number, terms)
        if claimed is None:
            return None
        job, chunk = claimed
        key = ChunkKey(job_id, number, chunk.fencing_token)
        return cls(job, key, chunk.payload, chunk.attempts, terms.lease)

    @property
    def job_id(self) -> UUID:
        return self.job.id

    @property
    def token(self) -> int:
        return self.key.token

    @property
    def blob_prefix(self) -> str:
        return f"jobs/{self.job.id}/chunks/{self.key.number}/{self.key.token}"

    def renew(self, session: Session, news: dict[str, Any]) -> bool | None:
        return chunks.renew(session, self.key, self.lease, news)

    def hold(self, session: Session) -> object:
        return chunks.hold(session, self.key, self.lease)

    def succeed(
        self,
        session: Session,
        result: dict[str, Any] | None,
        on_job_success: OnJobSuccess | None,
    ) -> Job:
        job, chunk = chunks.hold_with_job(session, self.key, self.lease)
        chunks.succeed(session, job, chunk, result, on_job_success)
        return job

    def fail(self, session: Session, error: dict[str, Any]) -> Job:
        job, chunk = chunks.hold_with_job(session, self.key, self.lease)
        chunks.fail(session, job, chunk, error)
        return job

    def retry_later(self, session: Session, pause: timedelta) -> Job:
        job, chunk = chunks.hold_with_job(session, self.key, self.lease)
        chunks.retry_later(session, job, chunk, pause)
        return job

    def release(self, session: Session) -> Job:
        job, chunk = chunks.hold_with_job(session, self.key, self.lease)
        chunks.release(session, job, chunk)
        return job

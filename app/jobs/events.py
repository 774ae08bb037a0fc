"""A job's life as Server-Sent Events. Between two looks no database session is held."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.core.errors import NotFound
from app.jobs import service
from app.jobs.models import Job
from app.jobs.schemas import JobOut

POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
LONGEST_STREAM_SECONDS = 600.0
RETRY = "retry: 2000\n\n"
HEARTBEAT = ": still here\n\n"


@dataclass(frozen=True)
class Snapshot:
    """What a listener sees of a job. The id says what it is, so equal ones are sent once."""

    id: str
    data: str
    is_last: bool

    def __str__(self) -> str:
        return f"id: {self.id}\nevent: job\ndata: {self.data}\n\n"


def snapshot_of(job: Job) -> Snapshot:
    data = JobOut.model_validate(job).model_dump_json()
    digest = hashlib.sha256(data.encode()).hexdigest()[:16]
    return Snapshot(digest, data, job.state in service.ENDED)


async def stream(
    sessions: sessionmaker[Session], job_id: UUID, *, delivered: str | None
) -> AsyncIterator[str]:
    """Changes of a job until it ends, but ten minutes at most. `delivered` was seen before."""
    yield RETRY
    last_sent = ends_at = time.monotonic()
    ends_at += LONGEST_STREAM_SECONDS
    while time.monotonic() < ends_at:
        snapshot = await asyncio.to_thread(_look, sessions, job_id)
        if snapshot is not None and snapshot.id != delivered:
            delivered, last_sent = snapshot.id, time.monotonic()
            yield str(snapshot)
        elif time.monotonic() - last_sent >= HEARTBEAT_SECONDS:
            last_sent = time.monotonic()
            yield HEARTBEAT
        if snapshot is not None and snapshot.is_last:
            return
        await asyncio.sleep(POLL_SECONDS)


def _look(sessions: sessionmaker[Session], job_id: UUID) -> Snapshot | None:
    """None while the database does not answer, or when the job was purged."""
    try:
        with sessions() as session:
            return snapshot_of(service.get_job(session, job_id))
    except (OperationalError, NotFound):
        return None

"""Jobs that tasks of this process do, and what the database then says about them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
import redis
from pydantic import RootModel
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session, sessionmaker

from app.core.clock import now
from app.core.config import Settings, get_settings
from app.core.db import make_sessions, transaction
from app.core.embedded import redis_url
from app.jobs import service
from app.jobs.models import Job, JobKind
from tests.factories import make_project
from worker import process


class Work:
    """Adds jobs, and looks at them with a fresh session each time."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions

    def add(self, kind: JobKind = JobKind.EXPORT, **options: object) -> str:
        payload = RootModel[dict[str, object]](options)
        with transaction(self.sessions) as session:
            project = make_project(session)
            job = service.create_job(
                session, kind=kind, project_id=project.id, payload=payload, created_by=None
            )
        return str(job.id)

    def newest(self) -> Job:
        with self.sessions() as session:
            return service.list_jobs(session, limit=1).rows[0]

    def read(self, job_id: str) -> Job:
        with self.sessions() as session:
            return service.get_job(session, UUID(job_id))

    def log(self, job_id: str) -> list[str]:
        with self.sessions() as session:
            return [line.message for line in service.log_tail(session, UUID(job_id))]

    def cancel(self, job_id: str) -> None:
        with transaction(self.sessions) as session:
            service.request_cancel(session, service.get_job(session, UUID(job_id)))

    def end_pause(self) -> None:
        with transaction(self.sessions) as session:
            session.execute(update(Job).values(lease_expires_at=now() - timedelta(seconds=1)))


@pytest.fixture
def work(engine: Engine, settings: Settings) -> Iterator[Work]:
    yield Work(make_sessions(engine))
    process.disconnect()


@pytest.fixture
def change_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that changes settings, here and in workers started afterwards."""

    def change(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"KIZU_{name.upper()}", str(value))
        get_settings.cache_clear()

    return change


@pytest.fixture
def broker(settings: Settings) -> Iterator[redis.Redis]:
    """The broker's own client, for a look at the queues."""
    with redis.Redis.from_url(redis_url(settings.broker_url or "")) as client:
        yield client

"""A project with jobs, and workers that exist only as names in leases."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from pydantic import RootModel
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.core.clock import now
from app.jobs import service
from app.jobs.models import Job, JobChunk, JobKind
from app.jobs.service import Terms
from tests.factories import make_project

LEASE = timedelta(seconds=30)
TERMS = Terms(owner="worker-1", lease=LEASE, max_attempts=3)
MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(session: Session) -> MakeJob:
    """A function that adds a committed job, in a project of its own unless told which."""

    def make(kind: JobKind = JobKind.EXPORT, project_id: UUID | None = None) -> Job:
        job = service.create_job(
            session,
            kind=kind,
            project_id=project_id or make_project(session).id,
            payload=RootModel[dict[str, str]]({"format": "csv"}),
            created_by=None,
        )
        session.commit()
        return job

    return make


def let_lease_run_out(session: Session, row: type[Job] | type[JobChunk] = Job) -> None:
    session.execute(update(row).values(lease_expires_at=now() - timedelta(seconds=1)))
    session.commit()
    session.expire_all()

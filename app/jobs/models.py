"""The job row is the truth about a job; chunks let many workers share one; the log is its tail."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import now
from app.core.db import Base, Identified


class JobKind(StrEnum):
    TRAIN = "train"
    PREDICT = "predict"
    IMPORT = "import"
    EXPORT = "export"
    EXPORT_MODEL = "export_model"
    PURGE = "purge"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Leased:
    """The claim of one worker. Every write it makes carries `fencing_token`, which each claim
    raises, so a worker that lost its lease can change nothing."""

    state: Mapped[str] = mapped_column(default=JobState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    fencing_token: Mapped[int] = mapped_column(default=0)


class Job(Identified, Leased, Base):
    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_project_id_created_at", "project_id", "created_at"),
        Index(
            "ix_job_active",
            "kind",
            "created_at",
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
        Index(
            "ix_job_with_files",
            "finished_at",
            postgresql_where=text(
                "files_removed_at IS NULL AND kind IN ('import', 'export', 'export_model')"
            ),
        ),
    )

    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    progress: Mapped[float] = mapped_column(default=0.0)
    stage: Mapped[str] = mapped_column(default="")
    eta_seconds: Mapped[float | None]
    metrics: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    files_removed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class JobChunk(Leased, Base):
    __tablename__ = "job_chunk"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    progress: Mapped[float] = mapped_column(default=0.0, server_default=text("0"))


class JobLogLine(Base):
    __tablename__ = "job_log_line"
    __table_args__ = (Index("ix_job_log_line_job_id_id", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(default=now)
    level: Mapped[str]
    message: Mapped[str]


class WorkerHeartbeat(Base):
    __tablename__ = "worker_heartbeat"

    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    device: Mapped[str]
    at: Mapped[datetime]

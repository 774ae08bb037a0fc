"""What the job routes read and write."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.core.pagination import MAX_LIMIT
from app.jobs.models import JobKind, JobState


class JobQuery(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    kind: JobKind | None = None
    state: JobState | None = None
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="Rows per page.")


class Order(StrEnum):
    OLDEST = "oldest"
    NEWEST = "newest"


class LogQuery(BaseModel):
    """Which lines of a log, from which end."""

    model_config = ConfigDict(extra="forbid")

    order: Order = Order.OLDEST
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(200, ge=1, le=MAX_LIMIT, description="Rows per page.")


class LogLineOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    level: str = Field(examples=["info"])
    message: str = Field(examples=["Epoch 3 of 12: loss 0.214"])


class JobErrorOut(BaseModel):
    """Why a job failed, in the words of a problem document."""

    model_config = ConfigDict(extra="allow")

    title: str = Field(examples=["The state does not allow this"])
    detail: str = Field(examples=["No image has a label yet."])
    code: str = Field(examples=["conflict"])


class JobOut(BaseModel):
    """A job; `progress` runs from 0 to 1."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    project_id: UUID | None
    kind: JobKind
    state: JobState
    progress: float = Field(ge=0, le=1, examples=[0.42])
    stage: str = Field(examples=["pseudo_labels"])
    eta_seconds: float | None = Field(examples=[95.0], description="Seconds left, if known.")
    attempts: int = Field(examples=[1])
    cancel_requested: bool
    payload: dict[str, Any]
    result: dict[str, Any] | None
    error: JobErrorOut | None
    metrics: dict[str, Any] | None = Field(examples=[{"loss": 0.214}])
    created_by: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobDetailOut(JobOut):
    """A job with the last 50 lines of its log, oldest first."""

    log: list[LogLineOut]

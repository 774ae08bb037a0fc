"""What a training consumed (`dataset_snapshot`) and what it produced (`model_version`)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Identified, Versioned


class ModelState(StrEnum):
    CANDIDATE = "candidate"
    LIVE = "live"
    RETIRED = "retired"


class DatasetSnapshot(Identified, Base):
    __tablename__ = "dataset_snapshot"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), index=True)
    sha256: Mapped[str]
    counts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    blob_key: Mapped[str]


class ModelVersion(Identified, Versioned, Base):
    __tablename__ = "model_version"
    __table_args__ = (
        UniqueConstraint("project_id", "number"),
        Index(
            "uq_model_version_live",
            "project_id",
            unique=True,
            postgresql_where=text("state = 'live'"),
        ),
    )

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    number: Mapped[int]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), unique=True)
    snapshot_id: Mapped[UUID] = mapped_column(ForeignKey("dataset_snapshot.id"))
    state: Mapped[str] = mapped_column(default=ModelState.CANDIDATE)
    label_ids: Mapped[list[str]]
    weights_prefix: Mapped[str]
    card: Mapped[dict[str, Any]] = mapped_column(JSONB)
    metrics: Mapped[dict[str, Any]] = mapped_column(JSONB)
    gate: Mapped[dict[str, Any]] = mapped_column(JSONB)
    promoted_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]

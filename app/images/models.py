"""The image row: what a photo is, where it came from, and what may be done with it. No bytes."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Identified, Versioned


class ImageState(StrEnum):
    RECEIVED = "received"
    READY = "ready"
    REJECTED = "rejected"


class Split(StrEnum):
    """`evaluation` is drawn on arrival and never trains; `test` is a vault, scored at the end."""

    TRAIN = "train"
    EVALUATION = "evaluation"
    TEST = "test"


class Arm(StrEnum):
    """Whether the reviewer saw suggestions, and why."""

    ASSISTED = "assisted"
    CONTROL = "control"
    AUDIT = "audit"
    GOLD = "gold"


class Image(Identified, Versioned, Base):
    __tablename__ = "image"
    __table_args__ = (
        Index(
            "uq_image_content",
            "project_id",
            "sha256",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_image_sha256", "sha256"),
        Index("ix_image_project_id_created_at_id", "project_id", "created_at", "id"),
        Index(
            "ix_image_project_id_taken_at_id",
            "project_id",
            text("coalesce(captured_at, created_at)"),
            "id",
        ),
        Index("ix_image_project_id_file_name_id", "project_id", "file_name", "id"),
        Index("ix_image_project_id_priority_id", "project_id", "priority", "id"),
        Index("ix_image_project_id_lot_id", "project_id", "lot", "id"),
        Index("ix_image_project_id_group_key", "project_id", "group_key"),
        Index(
            "ix_image_project_id_line_id",
            "project_id",
            "line",
            "id",
            postgresql_where=text("line IS NOT NULL"),
        ),
        Index("ix_image_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("ix_image_received", "created_at", postgresql_where=text("state = 'received'")),
        Index(
            "ix_image_review_queue",
            "project_id",
            text("priority DESC"),
            "id",
            postgresql_where=text("state = 'ready' AND reviewed_at IS NULL AND deleted_at IS NULL"),
        ),
        Index(
            "ix_image_margin_queue",
            "project_id",
            "margin",
            "id",
            postgresql_where=text("state = 'ready' AND reviewed_at IS NULL AND deleted_at IS NULL"),
        ),
        Index(
            "ix_image_novelty_queue",
            "project_id",
            text("novelty DESC NULLS LAST"),
            "id",
            postgresql_where=text("state = 'ready' AND reviewed_at IS NULL AND deleted_at IS NULL"),
        ),
        Index(
            "ix_image_control_queue",
            "project_id",
            "arm_draw",
            postgresql_where=text("state = 'ready' AND reviewed_at IS NULL AND deleted_at IS NULL"),
        ),
    )

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    sha256: Mapped[str]
    file_name: Mapped[str]
    media_type: Mapped[str]
    byte_size: Mapped[int]
    width: Mapped[int | None]
    height: Mapped[int | None]
    bit_depth: Mapped[int | None]
    perceptual_hash: Mapped[int | None]
    state: Mapped[str] = mapped_column(default=ImageState.RECEIVED)
    reason: Mapped[str | None]
    ingest_attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    split: Mapped[str] = mapped_column(default=Split.TRAIN)
    group_key: Mapped[str | None]
    line: Mapped[str | None]
    station: Mapped[str | None]
    camera: Mapped[str | None]
    lot: Mapped[str | None]
    part: Mapped[str | None]
    captured_at: Mapped[datetime | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    priority: Mapped[float] = mapped_column(default=0.0)
    margin: Mapped[float | None]
    novelty: Mapped[float | None]
    arm_draw: Mapped[float] = mapped_column(server_default=text("random()"))
    reviewed_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    @property
    def taken_at(self) -> datetime:
        """When the photo was taken, as far as anybody knows."""
        return self.captured_at or self.created_at

"""The image row: what a photo is, where it came from, and what may be done with it. No bytes."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import REAL, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import now
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
        Index(
            "ix_image_cleared",
            "project_id",
            "cleared_at",
            "line",
            postgresql_where=text("cleared_at IS NOT NULL"),
        ),
        Index(
            "ix_image_evaluation",
            "project_id",
            "id",
            postgresql_where=text("split = 'evaluation' AND deleted_at IS NULL"),
        ),
        Index("ix_image_burst", "burst_id", "id", postgresql_where=text("deleted_at IS NULL")),
        Index(
            "ix_image_without_burst",
            "id",
            postgresql_where=text(
                "burst_id IS NULL AND perceptual_hash IS NOT NULL AND deleted_at IS NULL"
            ),
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
    burst_id: Mapped[UUID | None]
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
    cleared_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    @property
    def taken_at(self) -> datetime:
        """When the photo was taken, as far as anybody knows."""
        return self.captured_at or self.created_at


class ImageEmbedding(Base):
    """Where a photo lies in the space that its project's backbone shares with text, unit length.

    There from ingest on; `backbone` is empty until a worker has looked. A photo that nothing can be
    made of has a backbone and no embedding. A plain array, so that the table is the same on a
    server without the extension `vector`.
    """

    __tablename__ = "image_embedding"
    __table_args__ = (Index("ix_image_embedding_project_id_backbone", "project_id", "backbone"),)

    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    backbone: Mapped[str] = mapped_column(default="", server_default="")
    weights: Mapped[str] = mapped_column(default="", server_default="")
    embedding: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))


class TextEmbedding(Base):
    """What a backbone makes of a sentence, kept for a while: its embedding, or the reason why there
    is none. Both are null until a worker answers."""

    __tablename__ = "text_embedding"

    backbone: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(primary_key=True)
    weights: Mapped[str] = mapped_column(default="", server_default="")
    embedding: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    problem: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

"""Append-only statements (`annotation`, `annotation_label`) and the truth they project to."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import now
from app.core.db import Base, Identified


class LabelValue(StrEnum):
    PRESENT = "present"
    ABSENT = "absent"
    UNSURE = "unsure"


class Source(StrEnum):
    """Who stated it. Automatic labels never enter evaluation, calibration or the KPIs' truth."""

    HUMAN = "human"
    IMPORT = "import"
    AUTO = "auto"


class Annotation(Identified, Base):
    """One statement about one image. `finishes_image`: with it, people decided every active label.
    `review_token`: the lease it was submitted under, so that a repeated submit adds nothing."""

    __tablename__ = "annotation"
    __table_args__ = (
        Index("ix_annotation_image_id_created_at", "image_id", "created_at"),
        Index("ix_annotation_project_id_created_at", "project_id", "created_at"),
    )

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"))
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    source: Mapped[str] = mapped_column(default=Source.HUMAN)
    is_complete: Mapped[bool] = mapped_column(default=False)
    finishes_image: Mapped[bool] = mapped_column(default=False)
    active_ms: Mapped[int | None]
    arm: Mapped[str | None]
    arm_probability: Mapped[float | None]
    arm_drawn_at: Mapped[datetime | None]
    shown_model_version_id: Mapped[UUID | None]
    review_token: Mapped[UUID | None] = mapped_column(unique=True)
    undoes_id: Mapped[UUID | None] = mapped_column(ForeignKey("annotation.id"), unique=True)


class AnnotationLabel(Base):
    __tablename__ = "annotation_label"

    annotation_id: Mapped[UUID] = mapped_column(ForeignKey("annotation.id"), primary_key=True)
    label_id: Mapped[UUID] = mapped_column(ForeignKey("label.id"), primary_key=True)
    value: Mapped[str]


class KnownValue(NamedTuple):
    """What is known now about one label of an image, and who said so."""

    value: LabelValue
    source: Source


class ImageLabel(Base):
    __tablename__ = "image_label"
    __table_args__ = (
        Index("ix_image_label_project_id_label_id_value", "project_id", "label_id", "value"),
        Index("ix_image_label_annotation_id", "annotation_id"),
    )

    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"), primary_key=True)
    label_id: Mapped[UUID] = mapped_column(ForeignKey("label.id"), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    value: Mapped[str]
    source: Mapped[str]
    annotation_id: Mapped[UUID] = mapped_column(ForeignKey("annotation.id"))
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)

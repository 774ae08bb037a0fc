"""Tables of projects, labels, and of what is counted once: counters, and days that are over."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ForeignKey, LargeBinary, Numeric, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Identified, Versioned


class RolloutStage(StrEnum):
    MANUAL = "manual"
    ASSIST = "assist"
    AUTO = "auto"


class Counter(StrEnum):
    IMAGES = "images"
    READY = "ready"
    REJECTED = "rejected"
    ANNOTATED = "annotated"
    PENDING_PSEUDO_LABELS = "pending_pseudo_labels"


class Project(Identified, Versioned, Base):
    __tablename__ = "project"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    stage: Mapped[str] = mapped_column(default=RolloutStage.ASSIST)
    backbone: Mapped[str] = mapped_column(default="kizu-small")
    time_zone: Mapped[str] = mapped_column(default="Asia/Tokyo")
    hourly_cost: Mapped[Decimal] = mapped_column(Numeric(12, 2), default=Decimal(3000))
    currency: Mapped[str] = mapped_column(default="JPY")
    control_rate: Mapped[float] = mapped_column(default=0.1)
    audit_rate: Mapped[float] = mapped_column(default=0.05)
    evaluation_rate: Mapped[float] = mapped_column(default=0.2)
    gate_margin: Mapped[float] = mapped_column(default=0.05)
    simulated: Mapped[bool] = mapped_column(default=False)
    draw_secret: Mapped[bytes] = mapped_column(LargeBinary)
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class Label(Identified, Versioned, Base):
    __tablename__ = "label"
    __table_args__ = (UniqueConstraint("project_id", "key"),)

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    key: Mapped[str]
    names: Mapped[dict[str, str]]
    prompts: Mapped[list[str]] = mapped_column(JSONB, default=list)
    hotkey: Mapped[str | None]
    colour: Mapped[str]
    miss_cost: Mapped[float] = mapped_column(default=1.0)
    is_guarded: Mapped[bool] = mapped_column(default=True)
    position: Mapped[int]
    archived_at: Mapped[datetime | None]


class ProjectCounter(Base):
    __tablename__ = "project_counter"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(default=0)


class ProjectDay(Base):
    """What the KPIs count of a day up to `ends_at`, in one time zone, with these labels active."""

    __tablename__ = "project_day"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    time_zone: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    counted_at: Mapped[datetime]
    active_labels: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    evidence: Mapped[dict[str, Any]] = mapped_column(JSONB)

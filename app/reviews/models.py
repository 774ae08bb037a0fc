"""Leases (one holder per image, by primary key), drafts, skips, and append-only decisions."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import now
from app.core.db import Base, Identified


class Verdict(StrEnum):
    """`add`: the reviewer stated a label that no suggestion named; `unsure`: neither yes nor no."""

    ACCEPT = "accept"
    REJECT = "reject"
    ADD = "add"
    UNSURE = "unsure"


class Purpose(StrEnum):
    """`review` decides suggestions; `annotate` labels from scratch, evaluation images first."""

    REVIEW = "review"
    ANNOTATE = "annotate"


class QueueOrder(StrEnum):
    """Least sure on the whole, closest call on one label, least like what is labelled, ...

    `audit`: those that are answered without suggestions, to check what was accepted."""

    UNCERTAINTY = "uncertainty"
    MARGIN = "margin"
    NOVELTY = "novelty"
    NEWEST = "newest"
    LOT = "lot"
    LABEL = "label"
    AUDIT = "audit"


class ReviewLease(Base):
    """The one holder of an image. `arm` is empty where no draw was made (purpose `annotate`)."""

    __tablename__ = "review_lease"

    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), index=True)
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    token: Mapped[UUID]
    purpose: Mapped[str] = mapped_column(default=Purpose.REVIEW)
    arm: Mapped[str | None]
    arm_probability: Mapped[float | None]
    model_version_id: Mapped[UUID | None]
    shown_ids: Mapped[list[str]] = mapped_column(JSONB, default=list)
    leased_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class ReviewDraft(Base):
    """Unfinished work of one reviewer on one image. It outlives the lease, so nothing is lost."""

    __tablename__ = "review_draft"

    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"), primary_key=True)
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    draft: Mapped[dict[str, Any]] = mapped_column(JSONB)
    saved_at: Mapped[datetime] = mapped_column(default=now)


class ReviewSkip(Base):
    __tablename__ = "review_skip"

    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"), primary_key=True)
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)


class Decision(Identified, Base):
    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_project_id_created_at", "project_id", "created_at"),
        Index("ix_decision_annotation_id", "annotation_id"),
        Index("ix_decision_image_id", "image_id"),
        Index("ix_decision_pseudo_label_id", "pseudo_label_id"),
        Index("ix_decision_audit", "project_id", "id", postgresql_where=text("arm = 'audit'")),
    )

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"))
    label_id: Mapped[UUID] = mapped_column(ForeignKey("label.id"))
    annotation_id: Mapped[UUID] = mapped_column(ForeignKey("annotation.id"))
    pseudo_label_id: Mapped[UUID | None] = mapped_column(ForeignKey("pseudo_label.id"))
    model_version_id: Mapped[UUID | None]
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    verdict: Mapped[str]
    value: Mapped[str]
    suggested_value: Mapped[str | None]
    was_shown: Mapped[bool]
    arm: Mapped[str | None]
    confidence: Mapped[float | None]
    threshold: Mapped[float | None]
    active_ms: Mapped[int | None]

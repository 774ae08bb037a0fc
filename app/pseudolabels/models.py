"""Predictions of live and candidate models, and the pseudo-labels drawn from them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, false, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import now
from app.core.db import Base, Identified


class PseudoLabelState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    AUTO_ACCEPTED = "auto_accepted"
    SUPERSEDED = "superseded"


class Prediction(Base):
    __tablename__ = "prediction"

    model_version_id: Mapped[UUID] = mapped_column(ForeignKey("model_version.id"), primary_key=True)
    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"), primary_key=True, index=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    probabilities: Mapped[list[float]] = mapped_column(ARRAY(Float))
    contexts: Mapped[list[float]] = mapped_column(ARRAY(Float))
    uncertainty: Mapped[float]
    margin: Mapped[float]
    novelty: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class ContractEnd(StrEnum):
    """Why nothing more is accepted under a contract."""

    REPLACED = "replaced"
    STOPPED = "stopped"
    BREACHED = "breached"


class AcceptanceContract(Identified, Base):
    """Answers about a label are accepted without a person, at most `allowed_error` of them wrong.

    A label has one that runs, at most; another error, or going on after a breach, makes a new one.
    `applied_to_id`: the live version of whose suggestions all that were open have been looked at.
    `breached_by_id`: the version whose accepted answers audits found wrong too often.
    `takes_back`: what was accepted under it goes back to people.
    """

    __tablename__ = "acceptance_contract"
    __table_args__ = (
        Index(
            "uq_acceptance_contract_running",
            "label_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_acceptance_contract_project_id", "project_id", "created_at"),
    )

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    label_id: Mapped[UUID] = mapped_column(ForeignKey("label.id"))
    allowed_error: Mapped[float]
    applied_to_id: Mapped[UUID | None]
    ended_at: Mapped[datetime | None]
    end: Mapped[str | None]
    breached_by_id: Mapped[UUID | None]
    takes_back: Mapped[bool] = mapped_column(default=False, server_default=false())


class PseudoLabel(Identified, Base):
    __tablename__ = "pseudo_label"
    __table_args__ = (
        Index("ix_pseudo_label_image_id_label_id", "image_id", "label_id"),
        Index(
            "uq_pseudo_label_open",
            "image_id",
            "label_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_pseudo_label_queue",
            "project_id",
            "label_id",
            "confidence",
            "id",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_pseudo_label_waiting",
            "project_id",
            "created_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index("ix_pseudo_label_listing", "project_id", "state", "confidence", "id"),
        Index(
            "ix_pseudo_label_contract",
            "contract_id",
            "state",
            "model_version_id",
            postgresql_where=text("contract_id IS NOT NULL"),
        ),
        Index(
            "ix_pseudo_label_auto_accepted",
            "image_id",
            postgresql_where=text("state = 'auto_accepted'"),
        ),
    )

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    image_id: Mapped[UUID] = mapped_column(ForeignKey("image.id"))
    label_id: Mapped[UUID] = mapped_column(ForeignKey("label.id"))
    model_version_id: Mapped[UUID] = mapped_column(ForeignKey("model_version.id"), index=True)
    value: Mapped[str]
    confidence: Mapped[float]
    threshold: Mapped[float]
    state: Mapped[str] = mapped_column(default=PseudoLabelState.PENDING)
    decided_at: Mapped[datetime | None]
    contract_id: Mapped[UUID | None] = mapped_column(ForeignKey("acceptance_contract.id"))
    has_heat_map: Mapped[bool] = mapped_column(default=False, server_default=false())

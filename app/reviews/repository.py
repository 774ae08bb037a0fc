"""The SQL of reviews: who may take which image next, leases, drafts, decisions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, bindparam, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.annotations.models import Annotation, LabelValue, Source
from app.annotations.repository import is_in_force
from app.core.clock import now
from app.core.pagination import Key, Slice, fetch_slice
from app.images.models import Arm, Image, ImageState, Split
from app.pseudolabels.acceptance_repository import is_audit_due
from app.pseudolabels.models import Prediction, PseudoLabel, PseudoLabelState
from app.reviews.models import (
    Decision,
    QueueOrder,
    ReviewDraft,
    ReviewLease,
    ReviewSkip,
    Verdict,
)

SKIPPED_FOR = timedelta(hours=12)


@dataclass(frozen=True)
class Pool:
    """Whom images are wanted for, and which of the waiting ones may be served."""

    project_id: UUID
    reviewer_id: UUID
    split: Split = Split.TRAIN
    order: QueueOrder = QueueOrder.UNCERTAINTY
    label_id: UUID | None = None
    lot: str | None = None
    model_version_id: UUID | None = None
    arm: Arm | None = None
    control_rate: float = 0.0
    image_ids: tuple[UUID, ...] | None = None


@dataclass(frozen=True)
class DecisionFilter:
    """Which decisions a listing shows, from `start` to before `end`; what is None does not
    matter."""

    pseudo_label_id: UUID | None = None
    reviewer_id: UUID | None = None
    label_id: UUID | None = None
    start: datetime | None = None
    end: datetime | None = None


def next_images(session: Session, pool: Pool, count: int) -> list[Image]:
    """Up to `count` images that nobody holds, locked; images locked by others are passed over."""
    statement = select(Image).where(*_waiting(pool), *_selected(pool))
    statement = _ordered(statement, pool).limit(count)
    return list(
        session.scalars(
            statement.with_for_update(of=Image, skip_locked=True, key_share=True).execution_options(
                populate_existing=True
            )
        )
    )


def _waiting(pool: Pool) -> list[ColumnElement[bool]]:
    held = exists().where(ReviewLease.image_id == Image.id, ReviewLease.expires_at > now())
    skipped = exists().where(
        ReviewSkip.image_id == Image.id,
        ReviewSkip.reviewer_id == pool.reviewer_id,
        ReviewSkip.at > now() - SKIPPED_FOR,
    )
    return [
        Image.project_id == pool.project_id,
        Image.state == ImageState.READY,
        Image.reviewed_at.is_(None),
        Image.deleted_at.is_(None),
        ~held,
        _among(Image.id, pool.image_ids) if pool.image_ids is not None else ~skipped,
    ]


def _selected(pool: Pool) -> list[ColumnElement[bool]]:
    if pool.image_ids is not None:
        return []
    conditions: list[ColumnElement[bool]] = [Image.split == pool.split]
    if pool.lot is not None:
        conditions.append(Image.lot == pool.lot)
    if pool.arm == Arm.AUDIT:
        return [*conditions, is_audit_due()]
    if pool.model_version_id is not None:
        conditions.append(_was_looked_at(pool.model_version_id))
    if pool.label_id is not None:
        conditions.append(_open_about(pool.label_id))
    if pool.arm == Arm.CONTROL:
        conditions.append(Image.arm_draw < pool.control_rate)
    if pool.arm == Arm.ASSISTED:
        conditions += [Image.arm_draw >= pool.control_rate, ~is_audit_due()]
    return conditions


def _was_looked_at(model_version_id: UUID) -> ColumnElement[bool]:
    """Both arms draw from the same images: those that a model has an opinion about."""
    predicted = exists().where(
        Prediction.model_version_id == model_version_id, Prediction.image_id == Image.id
    )
    suggested = exists().where(
        PseudoLabel.image_id == Image.id, PseudoLabel.state == PseudoLabelState.PENDING
    )
    return predicted | suggested


def _open_about(label_id: UUID) -> ColumnElement[bool]:
    return exists().where(
        PseudoLabel.image_id == Image.id,
        PseudoLabel.label_id == label_id,
        PseudoLabel.state == PseudoLabelState.PENDING,
    )


def _ordered(statement: Select[Any], pool: Pool) -> Select[Any]:
    if pool.arm in {Arm.CONTROL, Arm.AUDIT}:
        return statement.order_by(Image.arm_draw)
    if pool.arm is None:
        # Downwards, so that labelling from scratch does not eat up the control images.
        return statement.order_by(Image.arm_draw.desc())
    match pool.order:
        case QueueOrder.MARGIN:
            return statement.order_by(Image.margin, Image.id)
        case QueueOrder.NOVELTY:
            return statement.order_by(Image.novelty.desc().nulls_last(), Image.id)
        case QueueOrder.NEWEST:
            return statement.order_by(Image.created_at.desc(), Image.id.desc())
        case QueueOrder.LOT:
            return statement.order_by(Image.lot.nulls_last(), Image.captured_at, Image.id)
        case QueueOrder.LABEL if pool.label_id is not None:
            sure = (
                select(PseudoLabel.confidence)
                .where(
                    PseudoLabel.image_id == Image.id,
                    PseudoLabel.label_id == pool.label_id,
                    PseudoLabel.state == PseudoLabelState.PENDING,
                )
                .scalar_subquery()
            )
            return statement.order_by(sure, Image.id)
        case _:
            return statement.order_by(Image.priority.desc(), Image.id)


def take(session: Session, leases: Sequence[dict[str, Any]]) -> set[UUID]:
    """Insert leases; an image that somebody holds is left to them. Returns the images taken."""
    if not leases:
        return set()
    new = insert(ReviewLease).values(list(leases))
    changed = [column.name for column in ReviewLease.__table__.columns if not column.primary_key]
    taken = new.on_conflict_do_update(
        index_elements=["image_id"],
        set_={name: new.excluded[name] for name in changed},
        where=ReviewLease.expires_at <= now(),
    ).returning(ReviewLease.image_id)
    return set(session.scalars(taken))


def lock_lease(session: Session, image_id: UUID) -> ReviewLease | None:
    return session.scalar(
        select(ReviewLease)
        .where(ReviewLease.image_id == image_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def leases_of(session: Session, project_id: UUID, reviewer_id: UUID) -> list[ReviewLease]:
    """What this reviewer holds now, the oldest first."""
    mine = select(ReviewLease).where(
        ReviewLease.project_id == project_id,
        ReviewLease.reviewer_id == reviewer_id,
        ReviewLease.expires_at > now(),
    )
    oldest_first = (ReviewLease.leased_at, ReviewLease.image_id)
    return list(
        session.scalars(mine.order_by(*oldest_first).execution_options(populate_existing=True))
    )


def images_by_id(session: Session, image_ids: Collection[UUID]) -> dict[UUID, Image]:
    rows = session.scalars(select(Image).where(_among(Image.id, image_ids)))
    return {image.id: image for image in rows}


def arm_draws(session: Session, image_ids: Collection[UUID]) -> dict[UUID, float]:
    """The draw of each of these images that is still there."""
    rows = select(Image.id, Image.arm_draw).where(
        _among(Image.id, image_ids), Image.deleted_at.is_(None)
    )
    return {row.id: row.arm_draw for row in session.execute(rows)}


def drafts_of(
    session: Session, reviewer_id: UUID, image_ids: Collection[UUID]
) -> dict[UUID, dict[str, Any]]:
    saved = select(ReviewDraft.image_id, ReviewDraft.draft).where(
        ReviewDraft.reviewer_id == reviewer_id, _among(ReviewDraft.image_id, image_ids)
    )
    return {row.image_id: row.draft for row in session.execute(saved)}


def save_draft(session: Session, image_id: UUID, reviewer_id: UUID, draft: dict[str, Any]) -> None:
    new = insert(ReviewDraft).values(
        image_id=image_id, reviewer_id=reviewer_id, draft=draft, saved_at=now()
    )
    session.execute(
        new.on_conflict_do_update(
            index_elements=["image_id", "reviewer_id"],
            set_={"draft": new.excluded.draft, "saved_at": new.excluded.saved_at},
        )
    )


def forget_draft(session: Session, image_id: UUID, reviewer_id: UUID) -> None:
    session.execute(
        delete(ReviewDraft).where(
            ReviewDraft.image_id == image_id, ReviewDraft.reviewer_id == reviewer_id
        )
    )


def save_skip(session: Session, image_id: UUID, reviewer_id: UUID) -> None:
    new = insert(ReviewSkip).values(image_id=image_id, reviewer_id=reviewer_id, at=now())
    session.execute(
        new.on_conflict_do_update(
            index_elements=["image_id", "reviewer_id"], set_={"at": new.excluded.at}
        )
    )


def append(session: Session, decisions: Sequence[Decision]) -> None:
    session.add_all(decisions)
    session.flush()


def decisions_of(session: Session, annotation_id: UUID) -> list[Decision]:
    return list(session.scalars(select(Decision).where(Decision.annotation_id == annotation_id)))


def decisions_page(
    session: Session,
    project_id: UUID,
    wanted: DecisionFilter,
    *,
    cursor: str | None,
    limit: int,
) -> Slice[Decision]:
    conditions: list[ColumnElement[bool]] = [Decision.project_id == project_id]
    for name in ("pseudo_label_id", "reviewer_id", "label_id"):
        given = getattr(wanted, name)
        if given is not None:
            conditions.append(getattr(Decision, name) == given)
    if wanted.start is not None:
        conditions.append(Decision.created_at >= wanted.start)
    if wanted.end is not None:
        conditions.append(Decision.created_at < wanted.end)
    may_be_told = is_in_force() | Decision.arm.is_distinct_from(Arm.CONTROL)
    rows = (
        select(Decision)
        .join(Annotation, Annotation.id == Decision.annotation_id)
        .join(Image, Image.id == Decision.image_id)
        .where(Image.deleted_at.is_(None), may_be_told, *conditions)
    )
    newest_first = Key(
        columns=(Decision.created_at.expression, Decision.id.expression),
        attributes=("created_at", "id"),
        descending=True,
    )
    return fetch_slice(session, rows, newest_first, cursor=cursor, limit=limit)


def undone_among(session: Session, annotation_ids: Collection[UUID]) -> set[UUID]:
    undone = select(Annotation.undoes_id).where(_among(Annotation.undoes_id, annotation_ids))
    return {annotation_id for annotation_id in session.scalars(undone) if annotation_id}


def newest_of(session: Session, project_id: UUID, author_id: UUID) -> Annotation | None:
    """The newest statement of this person that is in force, about an image that is there."""
    own = (
        select(Annotation)
        .join(Image, Image.id == Annotation.image_id)
        .where(
            Annotation.project_id == project_id,
            Annotation.author_id == author_id,
            Annotation.source == Source.HUMAN,
            Image.deleted_at.is_(None),
            is_in_force(),
        )
    )
    newest_first = (Annotation.created_at.desc(), Annotation.id.desc())
    return session.scalar(own.order_by(*newest_first).limit(1))


def audited_answers(session: Session, project_id: UUID) -> list[tuple[UUID, UUID, int, int]]:
    """By contract and model version: how many accepted answers were audited, and were wrong."""
    answers = _audits(project_id).where(Decision.verdict.in_((Verdict.ACCEPT, Verdict.REJECT)))
    of_version = (PseudoLabel.contract_id, PseudoLabel.model_version_id)
    wrong = func.count().filter(Decision.verdict == Verdict.REJECT)
    counted = answers.with_only_columns(*of_version, func.count(), wrong).group_by(*of_version)
    rows = session.execute(counted)
    return [(row[0], row[1], row[2], row[3]) for row in rows if row[0] is not None]


def audited_clean_images(session: Session, project_id: UUID) -> tuple[int, int]:
    """Audits of images that were accepted as free of all they were accepted for: how many, and how
    many of those show something of it after all."""
    missed = func.bool_or(Decision.value == LabelValue.PRESENT)
    images = (
        _audits(project_id)
        .with_only_columns(missed.label("is_missed"))
        .group_by(Decision.annotation_id)
        .having(func.bool_and(Decision.suggested_value == LabelValue.ABSENT))
        .subquery()
    )
    counts = select(func.count(), func.count().filter(images.c.is_missed))
    total, wrong = session.execute(counts.select_from(images)).one()
    return total, wrong


def _audits(project_id: UUID) -> Select[Any]:
    """Blind answers about what was accepted, that are in force."""
    return (
        select(Decision)
        .join(PseudoLabel, PseudoLabel.id == Decision.pseudo_label_id)
        .join(Annotation, Annotation.id == Decision.annotation_id)
        .where(
            Decision.project_id == project_id,
            Decision.arm == Arm.AUDIT,
            PseudoLabel.contract_id.is_not(None),
            is_in_force(),
        )
    )


def lease_expiry(seconds: float) -> datetime:
    return now() + timedelta(seconds=seconds)


def _among(column: Any, ids: Collection[UUID]) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = column == func.any(bindparam(None, list(ids), ARRAY(Uuid)))
    return condition

"""The SQL of predictions and pseudo-labels: one statement per batch, however many rows."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Uuid,
    and_,
    bindparam,
    exists,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, aliased

from app.annotations.models import ImageLabel, LabelValue, Source
from app.core.clock import now
from app.core.ids import new_id
from app.core.pagination import Key, Slice, fetch_slice
from app.images.models import Image, ImageState, Split
from app.projects.models import Label, Project
from app.pseudolabels.models import Prediction, PseudoLabel, PseudoLabelState
from app.pseudolabels.rows import PredictionRow, Proposal

_UPSERT_PREDICTIONS = text("""
INSERT INTO prediction
    (model_version_id, image_id, project_id, probabilities, contexts, uncertainty, margin,
     novelty, created_at)
SELECT :version_id, image.id, image.project_id, given.probabilities, given.contexts,
       given.uncertainty, given.margin, given.novelty, :at
FROM jsonb_to_recordset(:rows)
    AS given(image_id uuid, probabilities float8[], contexts float8[], uncertainty float8,
             margin float8, novelty float8)
JOIN image ON image.id = given.image_id AND image.project_id = :project_id
ON CONFLICT (model_version_id, image_id) DO UPDATE SET
    probabilities = excluded.probabilities, contexts = excluded.contexts,
    uncertainty = excluded.uncertainty, margin = excluded.margin,
    novelty = excluded.novelty, created_at = excluded.created_at
""").bindparams(bindparam("rows", type_=JSONB))

# Evaluation and test images are labelled without suggestions, so nothing is proposed for them;
# nor for a label whose value is known already, or that was put into the archive.
_UPSERT_PROPOSALS = text("""
INSERT INTO pseudo_label
    (id, created_at, project_id, image_id, label_id, model_version_id, value, confidence,
     threshold, has_heat_map, state)
SELECT given.id, :at, image.project_id, image.id, given.label_id, :version_id, given.value,
       given.confidence, given.threshold, given.has_heat_map, 'pending'
FROM jsonb_to_recordset(:rows)
    AS given(id uuid, image_id uuid, label_id uuid, value text, confidence float8,
             threshold float8, has_heat_map boolean)
JOIN image ON image.id = given.image_id AND image.project_id = :project_id
JOIN label ON label.id = given.label_id AND label.archived_at IS NULL
WHERE image.split = 'train' AND image.state = 'ready' AND image.deleted_at IS NULL
  AND NOT EXISTS (
    SELECT FROM image_label
    WHERE image_label.image_id = image.id AND image_label.label_id = given.label_id)
ON CONFLICT (image_id, label_id) WHERE state = 'pending' DO UPDATE SET
    value = excluded.value, confidence = excluded.confidence, threshold = excluded.threshold,
    has_heat_map = excluded.has_heat_map
RETURNING image_id, xmax = 0 AS is_new
""").bindparams(bindparam("rows", type_=JSONB))


@dataclass(frozen=True)
class Filter:
    """Which pseudo-labels a listing shows; what is None does not matter."""

    state: PseudoLabelState = PseudoLabelState.PENDING
    label_id: UUID | None = None
    model_version_id: UUID | None = None
    image_id: UUID | None = None
    value: LabelValue | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None


def upsert_predictions(
    session: Session, *, project_id: UUID, version_id: UUID, rows: Sequence[PredictionRow]
) -> None:
    given = [
        {
            "image_id": str(row.image_id),
            "probabilities": [float(p) for p in row.probabilities],
            "contexts": [float(c) for c in row.contexts],
            "uncertainty": float(row.uncertainty),
            "margin": float(row.margin),
            "novelty": None if row.novelty is None else float(row.novelty),
        }
        for row in rows
    ]
    session.execute(
        _UPSERT_PREDICTIONS,
        {"version_id": version_id, "project_id": project_id, "rows": given, "at": now()},
    )


def upsert_proposals(
    session: Session, *, project_id: UUID, version_id: UUID, rows: Sequence[Proposal]
) -> list[tuple[UUID, bool]]:
    """The image of each proposal that was stored, and whether it is new."""
    given = [
        {
            "id": str(new_id()),
            "image_id": str(row.image_id),
            "label_id": str(row.label_id),
            "value": row.value,
            "confidence": float(row.confidence),
            "threshold": float(row.threshold),
            "has_heat_map": row.has_heat_map,
        }
        for row in rows
    ]
    stored = session.execute(
        _UPSERT_PROPOSALS,
        {"version_id": version_id, "project_id": project_id, "rows": given, "at": now()},
    )
    return [(row.image_id, row.is_new) for row in stored]


def supersede_other_versions(
    session: Session, image_ids: Collection[UUID], version_id: UUID
) -> int:
    """How many open pseudo-labels of other versions were put aside."""
    return _supersede(session, of_images(image_ids) & (PseudoLabel.model_version_id != version_id))


def supersede_decided(session: Session, image_ids: Collection[UUID]) -> int:
    """How many open pseudo-labels were put aside because their label is known by now."""
    return _supersede(session, of_images(image_ids) & is_decided())


def supersede_label(session: Session, label_id: UUID) -> int:
    """How many open pseudo-labels about this label were put aside."""
    return _supersede(session, PseudoLabel.label_id == label_id)


def _supersede(session: Session, which: ColumnElement[bool]) -> int:
    put_aside = (
        update(PseudoLabel)
        .where(PseudoLabel.state == PseudoLabelState.PENDING, which)
        .values(state=PseudoLabelState.SUPERSEDED, decided_at=now())
        .returning(PseudoLabel.id)
        .execution_options(synchronize_session="fetch")
    )
    return len(session.scalars(put_aside).all())


def of_images(image_ids: Collection[UUID]) -> ColumnElement[bool]:
    """Pseudo-labels of these images."""
    return PseudoLabel.image_id == func.any(bindparam(None, list(image_ids), ARRAY(Uuid)))


@cache
def is_decided() -> ColumnElement[bool]:
    """People or imports have stated the value of the pseudo-label's label."""
    return exists().where(
        ImageLabel.image_id == PseudoLabel.image_id,
        ImageLabel.label_id == PseudoLabel.label_id,
        ImageLabel.source != Source.AUTO,
    )


# Conditions never change, and building one with an alias takes as long as a small query.
@cache
def is_assisted() -> ColumnElement[bool]:
    """Its image is not in the control arm, which is reviewed without suggestions, or nothing
    could be measured against it."""
    image = aliased(Image)
    in_arm = exists().where(
        image.id == PseudoLabel.image_id,
        Project.id == PseudoLabel.project_id,
        image.arm_draw >= Project.control_rate,
    )
    return in_arm.correlate(PseudoLabel)


@cache
def is_waiting() -> ColumnElement[bool]:
    """People may see it, and nobody has answered it."""
    return and_(PseudoLabel.state == PseudoLabelState.PENDING, ~is_decided(), is_assisted())


def find_visible(session: Session, project_id: UUID, pseudo_label_id: UUID) -> PseudoLabel | None:
    one = _by_ids(project_id, [pseudo_label_id])
    return session.scalar(one.where(is_assisted() | is_decided()))


def with_heat_map(session: Session, image_id: UUID, label_id: UUID) -> PseudoLabel | None:
    """The newest suggestion of a label that people may see and that has a map."""
    explained = (
        select(PseudoLabel)
        .where(
            PseudoLabel.image_id == image_id,
            PseudoLabel.label_id == label_id,
            PseudoLabel.has_heat_map,
            is_assisted() | is_decided(),
        )
        .order_by(PseudoLabel.created_at.desc(), PseudoLabel.id.desc())
        .limit(1)
    )
    return session.scalar(explained)


def forget_heat_maps(
    session: Session, image_ids: Collection[UUID], version_id: UUID
) -> set[tuple[UUID, UUID]]:
    """Let suggestions of other versions have none any more; returns (image, version) of those."""
    forgotten = (
        update(PseudoLabel)
        .where(
            of_images(image_ids),
            PseudoLabel.model_version_id != version_id,
            PseudoLabel.has_heat_map,
        )
        .values(has_heat_map=False)
        .returning(PseudoLabel.image_id, PseudoLabel.model_version_id)
        .execution_options(synchronize_session="fetch")
    )
    return {(row[0], row[1]) for row in session.execute(forgotten)}


def pending_of_images(session: Session, image_ids: Collection[UUID]) -> list[PseudoLabel]:
    waiting = (
        select(PseudoLabel)
        .where(of_images(image_ids), is_waiting())
        .order_by(PseudoLabel.confidence.desc(), PseudoLabel.id)
    )
    return list(session.scalars(waiting))


def get_many(
    session: Session, project_id: UUID, pseudo_label_ids: Collection[UUID]
) -> dict[UUID, PseudoLabel]:
    rows = session.scalars(_by_ids(project_id, pseudo_label_ids))
    return {row.id: row for row in rows}


def lock_many(
    session: Session, project_id: UUID, pseudo_label_ids: Collection[UUID]
) -> dict[UUID, PseudoLabel]:
    """Hold these pseudo-labels until the transaction ends, as they are now."""
    held = _by_ids(project_id, pseudo_label_ids).with_for_update()
    rows = session.scalars(held.execution_options(populate_existing=True))
    return {row.id: row for row in rows}


def lock_open(session: Session, image_id: UUID) -> list[PseudoLabel]:
    held = (
        select(PseudoLabel)
        .where(PseudoLabel.image_id == image_id, PseudoLabel.state == PseudoLabelState.PENDING)
        .order_by(PseudoLabel.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(held))


def _by_ids(project_id: UUID, pseudo_label_ids: Collection[UUID]) -> Select[PseudoLabel]:
    wanted = PseudoLabel.id == func.any(bindparam(None, list(pseudo_label_ids), ARRAY(Uuid)))
    return (
        select(PseudoLabel)
        .where(wanted, PseudoLabel.project_id == project_id)
        .order_by(PseudoLabel.id)
    )


def lock_closed_since(
    session: Session, image_id: UUID, label_ids: Collection[UUID], moment: datetime
) -> list[PseudoLabel]:
    closed = (
        select(PseudoLabel)
        .where(
            PseudoLabel.image_id == image_id,
            PseudoLabel.label_id.in_(label_ids),
            PseudoLabel.state != PseudoLabelState.PENDING,
            PseudoLabel.decided_at >= moment,
        )
        .order_by(PseudoLabel.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(closed))


def can_be_asked(session: Session, pseudo_label_id: UUID) -> bool:
    """Its label is in use and undecided, and nothing else asks about it."""
    other = aliased(PseudoLabel)
    is_asked = exists().where(
        other.image_id == PseudoLabel.image_id,
        other.label_id == PseudoLabel.label_id,
        other.state == PseudoLabelState.PENDING,
    )
    askable = (
        select(PseudoLabel.id)
        .join(Label, Label.id == PseudoLabel.label_id)
        .where(
            PseudoLabel.id == pseudo_label_id,
            Label.archived_at.is_(None),
            ~is_decided(),
            ~is_asked,
        )
    )
    return session.scalar(askable) is not None


def page(
    session: Session,
    statement: Select[Any],
    *,
    ascending: bool,
    cursor: str | None,
    limit: int,
) -> Slice[PseudoLabel]:
    key = Key(
        columns=(PseudoLabel.confidence.expression, PseudoLabel.id.expression),
        attributes=("confidence", "id"),
        descending=not ascending,
    )
    return fetch_slice(session, statement, key, cursor=cursor, limit=limit)


def filtered(project_id: UUID, wanted: Filter) -> Select[Any]:
    is_pending = wanted.state == PseudoLabelState.PENDING
    conditions: list[ColumnElement[bool]] = [
        PseudoLabel.project_id == project_id,
        PseudoLabel.state == wanted.state,
        is_waiting() if is_pending else is_assisted() | is_decided(),
    ]
    for name in ("label_id", "model_version_id", "image_id", "value"):
        given = getattr(wanted, name)
        if given is not None:
            conditions.append(getattr(PseudoLabel, name) == given)
    if wanted.min_confidence is not None:
        conditions.append(PseudoLabel.confidence >= wanted.min_confidence)
    if wanted.max_confidence is not None:
        conditions.append(PseudoLabel.confidence <= wanted.max_confidence)
    with_image = select(PseudoLabel).join(Image, Image.id == PseudoLabel.image_id)
    return with_image.where(Image.deleted_at.is_(None), *conditions)


def histogram(session: Session, wanted: Select[Any], bins: int) -> dict[int, tuple[int, float]]:
    """By bin of confidence from 0.5 to 1, the lowest one 0: how many, and how many of them are
    wrong if confidence is what it says. Empty bins are missing."""
    last = bins - 1
    number = func.least(func.floor((PseudoLabel.confidence - 0.5) * 2 * bins), last).label("number")
    counted = wanted.with_only_columns(
        number, func.count(), func.sum(1 - PseudoLabel.confidence), maintain_column_froms=True
    ).group_by(number)
    return {max(int(row[0]), 0): (row[1], row[2]) for row in session.execute(counted)}


def predictions_of(
    session: Session, version_id: UUID, image_ids: Collection[UUID]
) -> list[Prediction]:
    wanted = Prediction.image_id == func.any(bindparam(None, list(image_ids), ARRAY(Uuid)))
    return list(
        session.scalars(select(Prediction).where(Prediction.model_version_id == version_id, wanted))
    )


def ready_ids(session: Session, project_id: UUID) -> Iterator[UUID]:
    """Every photo that a model can look at, streamed by id."""
    ready = select(Image.id).where(*_ready(project_id)).order_by(Image.id)
    yield from session.scalars(ready.execution_options(yield_per=5000))


def ready_between(session: Session, project_id: UUID, first: UUID, last: UUID) -> list[Image]:
    """The photos of one chunk of `ready_ids`, given its first and last id."""
    of_chunk = select(Image).where(*_ready(project_id), Image.id.between(first, last))
    return list(session.scalars(of_chunk.order_by(Image.id)))


def _ready(project_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        Image.project_id == project_id,
        Image.state == ImageState.READY,
        Image.deleted_at.is_(None),
    )


def predictions_page(
    session: Session, version_id: UUID, split: Split | None, *, cursor: str | None, limit: int
) -> Slice[Prediction]:
    by_image = Key(columns=(Prediction.image_id.expression,), attributes=("image_id",))
    rows = (
        select(Prediction)
        .join(Image, Image.id == Prediction.image_id)
        .where(Prediction.model_version_id == version_id, Image.deleted_at.is_(None))
    )
    if split is not None:
        rows = rows.where(Image.split == split)
    return fetch_slice(session, rows, by_image, cursor=cursor, limit=limit)


def oldest_pending(session: Session, project_id: UUID) -> datetime | None:
    return session.scalar(
        select(func.min(PseudoLabel.created_at)).where(
            PseudoLabel.project_id == project_id, PseudoLabel.state == PseudoLabelState.PENDING
        )
    )

"""The SQL of the catalog: one statement per page, whatever the filters."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, bindparam, exists, func, select
from sqlalchemy.orm import Session, aliased

from app.annotations.models import ImageLabel, Source
from app.catalog.filters import ImageFilter, Knowledge, LabelFilter, Order
from app.core import vectors
from app.core.pagination import Key, Slice, fetch_slice
from app.images.models import Image, ImageEmbedding
from app.pseudolabels.models import PseudoLabel
from app.pseudolabels.repository import is_waiting

Photo = type[Image]
taken_at = func.coalesce(Image.captured_at, Image.created_at)
SORT_COLUMNS: dict[str, tuple[ColumnElement[Any], str]] = {
    "created_at": (Image.created_at.expression, "created_at"),
    "captured_at": (taken_at, "taken_at"),
    "priority": (Image.priority.expression, "priority"),
    "file_name": (Image.file_name.expression, "file_name"),
}


def listing(
    session: Session,
    project_id: UUID,
    wanted: ImageFilter,
    *,
    order: Order,
    cursor: str | None,
    limit: int,
    is_folded: bool = False,
) -> Slice[Image]:
    """With `is_folded` only the first of each burst's photos that are wanted."""
    column, attribute = SORT_COLUMNS[order.column]
    key = Key(
        columns=(column, Image.id.expression),
        attributes=(attribute, "id"),
        descending=order.descending,
    )
    statement = filtered(project_id, wanted)
    if is_folded:
        statement = statement.where(~_earlier_of_burst(project_id, wanted))
    return fetch_slice(session, statement, key, cursor=cursor, limit=limit)


def burst_sizes(
    session: Session, project_id: UUID, wanted: ImageFilter, burst_ids: Collection[UUID]
) -> dict[UUID, int]:
    """How many wanted photos each of these bursts has."""
    one_of = Image.burst_id == func.any(bindparam(None, list(burst_ids), ARRAY(Uuid)))
    counted = (
        filtered(project_id, wanted)
        .with_only_columns(Image.burst_id, func.count().label("size"))
        .where(one_of)
        .group_by(Image.burst_id)
    )
    return {row.burst_id: row.size for row in session.execute(counted)}


def nearest(
    session: Session,
    project_id: UUID,
    wanted: ImageFilter,
    vector: Sequence[float],
    *,
    backbone: str,
    limit: int,
) -> list[tuple[Image, float]]:
    """The wanted photos whose embeddings are nearest to `vector`, each with its cosine."""
    vectors.follow_index(session)
    distance = vectors.cosine_distance(ImageEmbedding.embedding, vector)
    found = (
        filtered(project_id, wanted)
        .join(ImageEmbedding, ImageEmbedding.image_id == Image.id)
        .add_columns(distance.label("distance"))
        .where(
            ImageEmbedding.project_id == project_id,
            ImageEmbedding.backbone == backbone,
            ImageEmbedding.embedding.is_not(None),
        )
        .order_by(distance)
        .limit(limit)
    )
    return [(row.Image, 1.0 - row.distance) for row in session.execute(found)]


def filtered(project_id: UUID, wanted: ImageFilter) -> Select[Any]:
    return select(Image).where(*_conditions(Image, project_id, wanted))


def _earlier_of_burst(project_id: UUID, wanted: ImageFilter) -> ColumnElement[bool]:
    """A wanted photo of the same burst arrived earlier; one look into an index for each photo."""
    earlier = aliased(Image)
    return exists().where(
        earlier.burst_id == Image.burst_id,
        earlier.id < Image.id,
        *_conditions(earlier, project_id, wanted),
    )


def _conditions(photo: Photo, project_id: UUID, wanted: ImageFilter) -> list[ColumnElement[bool]]:
    return [
        photo.project_id == project_id,
        photo.deleted_at.is_(None),
        *_column_conditions(photo, wanted),
        *(_label_condition(photo, label) for label in wanted.labels),
        *_progress_conditions(photo, wanted),
    ]


def _column_conditions(photo: Photo, wanted: ImageFilter) -> list[ColumnElement[bool]]:
    conditions = [getattr(photo, name) == value for name, value in wanted.capture.items()]
    moment = func.coalesce(photo.captured_at, photo.created_at)
    if wanted.state is not None:
        conditions.append(photo.state == wanted.state)
    if wanted.split is not None:
        conditions.append(photo.split == wanted.split)
    if wanted.captured_from is not None:
        conditions.append(moment >= wanted.captured_from)
    if wanted.captured_until is not None:
        conditions.append(moment < wanted.captured_until)
    if wanted.file_name is not None:
        conditions.append(photo.file_name.icontains(wanted.file_name, autoescape=True))
    if wanted.burst_id is not None:
        conditions.append(photo.burst_id == wanted.burst_id)
    return conditions


def _label_condition(photo: Photo, wanted: LabelFilter) -> ColumnElement[bool]:
    of_label = exists().where(
        ImageLabel.image_id == photo.id, ImageLabel.label_id == wanted.label_id
    )
    if wanted.knowledge is Knowledge.UNKNOWN:
        return ~of_label
    return of_label.where(ImageLabel.value == wanted.knowledge)


def _progress_conditions(photo: Photo, wanted: ImageFilter) -> list[ColumnElement[bool]]:
    suggested = exists().where(PseudoLabel.image_id == photo.id, is_waiting())
    stated = exists().where(ImageLabel.image_id == photo.id, ImageLabel.source != Source.AUTO)
    answers = (
        (wanted.has_pseudo_labels, suggested),
        (wanted.annotated, stated),
        (wanted.reviewed, photo.reviewed_at.is_not(None)),
    )
    return [condition if wish else ~condition for wish, condition in answers if wish is not None]

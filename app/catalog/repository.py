"""The SQL of the catalog: one statement per page, whatever the filters."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import Session

from app.annotations.models import ImageLabel, Source
from app.catalog.filters import ImageFilter, Knowledge, LabelFilter, Order
from app.core.pagination import Key, Slice, fetch_slice
from app.images.models import Image
from app.pseudolabels.models import PseudoLabel
from app.pseudolabels.repository import is_waiting

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
) -> Slice[Image]:
    column, attribute = SORT_COLUMNS[order.column]
    key = Key(
        columns=(column, Image.id.expression),
        attributes=(attribute, "id"),
        descending=order.descending,
    )
    return fetch_slice(session, filtered(project_id, wanted), key, cursor=cursor, limit=limit)


def filtered(project_id: UUID, wanted: ImageFilter) -> Select[Any]:
    conditions = [
        *_column_conditions(wanted),
        *(_label_condition(label) for label in wanted.labels),
        *_progress_conditions(wanted),
    ]
    return select(Image).where(
        Image.project_id == project_id, Image.deleted_at.is_(None), *conditions
    )


def _column_conditions(wanted: ImageFilter) -> list[ColumnElement[bool]]:
    conditions = [getattr(Image, name) == value for name, value in wanted.capture.items()]
    if wanted.state is not None:
        conditions.append(Image.state == wanted.state)
    if wanted.split is not None:
        conditions.append(Image.split == wanted.split)
    if wanted.captured_from is not None:
        conditions.append(taken_at >= wanted.captured_from)
    if wanted.captured_until is not None:
        conditions.append(taken_at < wanted.captured_until)
    if wanted.file_name is not None:
        conditions.append(Image.file_name.icontains(wanted.file_name, autoescape=True))
    return conditions


def _label_condition(wanted: LabelFilter) -> ColumnElement[bool]:
    of_label = exists().where(
        ImageLabel.image_id == Image.id, ImageLabel.label_id == wanted.label_id
    )
    if wanted.knowledge is Knowledge.UNKNOWN:
        return ~of_label
    return of_label.where(ImageLabel.value == wanted.knowledge)


def _progress_conditions(wanted: ImageFilter) -> list[ColumnElement[bool]]:
    suggested = exists().where(PseudoLabel.image_id == Image.id, is_waiting())
    stated = exists().where(ImageLabel.image_id == Image.id, ImageLabel.source != Source.AUTO)
    answers = (
        (wanted.has_pseudo_labels, suggested),
        (wanted.annotated, stated),
        (wanted.reviewed, Image.reviewed_at.is_not(None)),
    )
    return [condition if wish else ~condition for wish, condition in answers if wish is not None]

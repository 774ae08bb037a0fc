"""An image's place in the review queue: how urgent it is, and whether people are done with it.

Set-based, because predictions and imports move thousands of images at once. Which image a
reviewer gets next is decided in `reviews`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Float, Uuid, bindparam, func, select, text, update
from sqlalchemy.orm import Session

from app.core.clock import now
from app.images.models import Image

_FLOATS = ARRAY(Float)
_SET_PRIORITIES = text(
    "UPDATE image SET priority = given.uncertainty, margin = given.margin, novelty = given.novelty "
    "FROM unnest(:ids, :uncertainties, :margins, :novelties) "
    "AS given(id, uncertainty, margin, novelty) WHERE image.id = given.id"
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("uncertainties", type_=_FLOATS),
    bindparam("margins", type_=_FLOATS),
    bindparam("novelties", type_=_FLOATS),
)


@dataclass(frozen=True)
class Priority:
    """How much a person's look at an image is worth: the more, the higher its `uncertainty` and
    `novelty`, and the lower its `margin`."""

    uncertainty: float
    margin: float
    novelty: float | None


def lock(session: Session, project_id: UUID, image_ids: Collection[UUID]) -> set[UUID]:
    """Hold these images until the transaction ends; returns those that the project has.

    Locked in the order of their ids, so that two writers of the same images cannot deadlock.
    """
    held = (
        select(Image.id)
        .where(
            Image.id == func.any(bindparam("ids", list(image_ids), ARRAY(Uuid))),
            Image.project_id == project_id,
            Image.deleted_at.is_(None),
        )
        .order_by(Image.id)
        .with_for_update(key_share=True)
    )
    return set(session.scalars(held))


def mark_reviewed(session: Session, image_ids: Collection[UUID]) -> None:
    """People are done with these images: they leave the queue."""
    _set_reviewed_at(session, image_ids, reviewed=True)


def mark_cleared(session: Session, image_ids: Collection[UUID]) -> None:
    """Models have left nothing to decide about these images: nobody has to open them."""
    _set_reviewed_at(session, image_ids, reviewed=True)
    _set_cleared_at(session, image_ids, cleared=True)


def mark_opened(session: Session, image_ids: Collection[UUID]) -> None:
    """People have said something about these images, cleared or not."""
    _set_cleared_at(session, image_ids, cleared=False)


def reopen(session: Session, image_ids: Collection[UUID]) -> None:
    """There is something to decide about these images again."""
    _set_reviewed_at(session, image_ids, reviewed=False)
    _set_cleared_at(session, image_ids, cleared=False)


def set_priorities(session: Session, priorities: Mapping[UUID, Priority]) -> None:
    """How much a person's look is worth, per image; the queue serves the highest first."""
    given = priorities.values()
    session.execute(
        _SET_PRIORITIES,
        {
            "ids": list(priorities),
            "uncertainties": [one.uncertainty for one in given],
            "margins": [one.margin for one in given],
            "novelties": [one.novelty for one in given],
        },
    )


def _set_reviewed_at(session: Session, image_ids: Collection[UUID], *, reviewed: bool) -> None:
    unlike = Image.reviewed_at.is_(None) if reviewed else Image.reviewed_at.is_not(None)
    _set(session, image_ids, unlike, reviewed_at=now() if reviewed else None)


def _set_cleared_at(session: Session, image_ids: Collection[UUID], *, cleared: bool) -> None:
    unlike = Image.cleared_at.is_(None) if cleared else Image.cleared_at.is_not(None)
    _set(session, image_ids, unlike, cleared_at=now() if cleared else None)


def _set(
    session: Session,
    image_ids: Collection[UUID],
    which: ColumnElement[bool],
    **values: datetime | None,
) -> None:
    if not image_ids:
        return
    session.execute(
        update(Image)
        .where(Image.id == func.any(bindparam("ids", list(image_ids), ARRAY(Uuid))), which)
        .values(**values)
        .execution_options(synchronize_session="fetch")
    )

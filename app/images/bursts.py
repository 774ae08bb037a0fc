"""Bursts: photos taken within a minute of each other that hardly differ to the eye.

A burst is named after the first of its photos that was read; each photo belongs to one, most to one
of their own. Only the listing makes use of it: splits are drawn by lot.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, UnaryExpression, cast, func, select, update
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.orm import Session

from app.images.models import Image

WITHIN = timedelta(minutes=1)
# Of 64 bits of the perceptual hash. It hardly sees a scratch, so only what is all but the same
# counts: two bits are a shake of the camera, not another part.
MOST_BITS = 2
NEIGHBOURS = 100
_LOCKS = 0x6B757A  # apart from the advisory locks of contents and lots

taken_at = func.coalesce(Image.captured_at, Image.created_at)


def find(session: Session, image: Image, *, perceptual_hash: int, moment: datetime) -> UUID:
    """The burst that this photo belongs to: the nearest in time that looks like it, or its own.

    Other photos of the project wait until this transaction ends, so that those read at the same
    time find each other.
    """
    lock = func.pg_advisory_xact_lock(_LOCKS, func.hashtext(str(image.project_id)))
    session.execute(select(lock))
    before = taken_at.between(moment - WITHIN, moment)
    after = (taken_at > moment) & (taken_at <= moment + WITHIN)
    alike = [
        *_alike(session, image, perceptual_hash, before, taken_at.desc()),
        *_alike(session, image, perceptual_hash, after, taken_at.asc()),
    ]
    if not alike:
        return image.id
    _, nearest = min((abs(found - moment), burst) for burst, found in alike)
    return nearest


def join_late(session: Session, *, limit: int) -> int:
    """Give a burst to photos that were read before there were any; returns how many."""
    waiting = (
        select(Image)
        .where(
            Image.burst_id.is_(None),
            Image.perceptual_hash.is_not(None),
            Image.deleted_at.is_(None),
        )
        .order_by(Image.id)
        .limit(limit)
    )
    images = session.scalars(waiting).all()
    for image in images:
        assert image.perceptual_hash is not None
        burst_id = find(
            session, image, perceptual_hash=image.perceptual_hash, moment=image.taken_at
        )
        mine = update(Image).where(Image.id == image.id).values(burst_id=burst_id)
        session.execute(mine.execution_options(synchronize_session=False))
    return len(images)


def _alike(
    session: Session,
    image: Image,
    perceptual_hash: int,
    span: ColumnElement[bool],
    nearest_first: UnaryExpression[Any],
) -> list[tuple[UUID, datetime]]:
    """Bursts whose first photo was taken in this span and looks like ours, and when it was."""
    neighbours = (
        select(Image.id, Image.burst_id, Image.perceptual_hash, taken_at.label("moment"))
        .where(Image.project_id == image.project_id, Image.id != image.id, span)
        .where(Image.deleted_at.is_(None))
        .order_by(nearest_first)
        .limit(NEIGHBOURS)
        .subquery()
    )
    bits = cast(neighbours.c.perceptual_hash.op("#")(perceptual_hash), BIT(64))
    first = neighbours.c.burst_id == neighbours.c.id
    found = select(neighbours.c.id, neighbours.c.moment).where(
        first, func.bit_count(bits) <= MOST_BITS
    )
    return [(row.id, row.moment) for row in session.execute(found)]

"""The SQL of images: one row per photo of a project; deleted ones are never seen from outside."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, String, Uuid, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.clock import now
from app.images.models import Image, ImageState


def lock_content(session: Session, sha256: str) -> None:
    """Hold this content until the transaction ends: nobody stores or purges it meanwhile."""
    session.execute(select(func.pg_advisory_xact_lock(int(sha256[:15], 16))))


def lock_lot(session: Session, project_id: UUID, lot: str) -> None:
    """Hold the groups of this lot until the transaction ends: nobody else adds to them meanwhile.

    Taken after the content's lock, never before: who holds a lot waits for no content.
    """
    digest = hashlib.sha256(f"{project_id}/{lot}".encode()).hexdigest()
    # Below zero, where no content has its lock.
    session.execute(select(func.pg_advisory_xact_lock(-1 - int(digest[:15], 16))))


def add(session: Session, values: dict[str, Any]) -> UUID | None:
    """The id of the new row; None when the project has this photo already."""
    new = insert(Image).values(**values)
    return session.scalar(
        new.on_conflict_do_nothing(
            index_elements=["project_id", "sha256"], index_where=Image.deleted_at.is_(None)
        ).returning(Image.id)
    )


def get(session: Session, project_id: UUID, image_id: UUID) -> Image | None:
    return session.scalar(
        select(Image).where(
            Image.id == image_id, Image.project_id == project_id, Image.deleted_at.is_(None)
        )
    )


def lock(session: Session, project_id: UUID, image_id: UUID) -> Image | None:
    """The image as it is now, held until the transaction ends."""
    return session.scalar(
        select(Image)
        .where(Image.id == image_id, Image.project_id == project_id, Image.deleted_at.is_(None))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def get_many(session: Session, project_id: UUID, image_ids: Collection[UUID]) -> list[Image]:
    wanted = Image.id == func.any(bindparam(None, list(image_ids), ARRAY(Uuid)))
    return list(
        session.scalars(
            select(Image)
            .where(wanted, Image.project_id == project_id, Image.deleted_at.is_(None))
            .order_by(Image.id)
        )
    )


def find_by_content(session: Session, project_id: UUID, sha256: str) -> Image | None:
    return session.scalar(
        select(Image).where(
            Image.project_id == project_id, Image.sha256 == sha256, Image.deleted_at.is_(None)
        )
    )


def known_contents(
    session: Session, project_id: UUID, digests: Collection[str]
) -> Sequence[Row[str, UUID, str]]:
    """SHA-256, id and file name of those contents that the project has."""
    wanted = Image.sha256 == func.any(bindparam(None, list(digests), ARRAY(String)))
    return session.execute(
        select(Image.sha256, Image.id, Image.file_name)
        .where(wanted, Image.project_id == project_id, Image.deleted_at.is_(None))
        .order_by(Image.id)
    ).all()


def newest_group(session: Session, project_id: UUID, lot: str) -> str | None:
    return session.scalar(
        select(Image.group_key)
        .where(Image.project_id == project_id, Image.lot == lot)
        .order_by(Image.id.desc())
        .limit(1)
    )


def group_size(session: Session, project_id: UUID, group_key: str) -> int:
    members = select(func.count()).where(
        Image.project_id == project_id, Image.group_key == group_key
    )
    return session.scalar(members) or 0


def settle(session: Session, image_id: UUID, values: dict[str, Any]) -> UUID | None:
    """Give a received image its verdict; its project, or None when it had one already or was
    deleted."""
    return session.scalar(
        update(Image)
        .where(
            Image.id == image_id,
            Image.state == ImageState.RECEIVED,
            Image.deleted_at.is_(None),
        )
        .values(**values)
        .returning(Image.project_id)
        .execution_options(synchronize_session=False)
    )


def lock_received(session: Session, image_id: UUID) -> Image | None:
    """The image, held until the transaction ends; None when it is settled or deleted, or somebody
    has it."""
    return session.scalar(
        select(Image)
        .where(
            Image.id == image_id,
            Image.state == ImageState.RECEIVED,
            Image.deleted_at.is_(None),
        )
        .with_for_update(skip_locked=True, key_share=True)
        .execution_options(populate_existing=True)
    )


def stuck(session: Session, *, older_than: timedelta, limit: int) -> list[UUID]:
    waiting = (
        select(Image.id)
        .where(
            Image.state == ImageState.RECEIVED,
            Image.created_at < now() - older_than,
            Image.deleted_at.is_(None),
        )
        .order_by(Image.created_at)
        .limit(limit)
    )
    return list(session.scalars(waiting))

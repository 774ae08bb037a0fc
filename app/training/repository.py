"""The SQL of snapshots and model versions."""

from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, exists, func, select
from sqlalchemy.orm import Session

from app.annotations.models import ImageLabel, LabelValue, Source
from app.core.audit import AuditEvent
from app.core.pagination import Key, Slice, fetch_slice
from app.images.models import Image, ImageState, Split
from app.projects.models import Label
from app.training.models import ModelState, ModelVersion


def all_versions(session: Session, project_id: UUID) -> list[ModelVersion]:
    return list(session.scalars(_versions(project_id).order_by(ModelVersion.number)))


def page(
    session: Session, project_id: UUID, *, cursor: str | None, limit: int
) -> Slice[ModelVersion]:
    newest_first = Key(
        columns=(ModelVersion.number.expression,), attributes=("number",), descending=True
    )
    return fetch_slice(session, _versions(project_id), newest_first, cursor=cursor, limit=limit)


def get(session: Session, project_id: UUID, version_id: UUID) -> ModelVersion | None:
    return session.scalar(_versions(project_id).where(ModelVersion.id == version_id))


def get_by_number(session: Session, project_id: UUID, number: int) -> ModelVersion | None:
    return session.scalar(_versions(project_id).where(ModelVersion.number == number))


def live(session: Session, project_id: UUID) -> ModelVersion | None:
    return session.scalar(_versions(project_id).where(ModelVersion.state == ModelState.LIVE))


def live_before(session: Session, current: ModelVersion) -> ModelVersion | None:
    """The version that gave way when `current` first went live; None for one that never did."""
    if current.promoted_at is None:
        return None
    gave_way = (
        _versions(current.project_id)
        .where(
            ModelVersion.state == ModelState.RETIRED,
            ModelVersion.promoted_at.is_not(None),
            ModelVersion.retired_at <= current.promoted_at,
        )
        .order_by(ModelVersion.retired_at.desc())
        .limit(1)
    )
    return session.scalar(gave_way)


def live_changes(
    session: Session, project_id: UUID, actions: Collection[str], *, cursor: str | None, limit: int
) -> Slice[AuditEvent]:
    newest_first = Key(columns=(AuditEvent.id.expression,), attributes=("id",), descending=True)
    changes = select(AuditEvent).where(
        AuditEvent.project_id == project_id, AuditEvent.action.in_(actions)
    )
    return fetch_slice(session, changes, newest_first, cursor=cursor, limit=limit)


def newest_live_change_to(
    session: Session, version: ModelVersion, actions: Collection[str]
) -> AuditEvent | None:
    newest = (
        select(AuditEvent)
        .where(
            AuditEvent.project_id == version.project_id,
            AuditEvent.object_id == str(version.id),
            AuditEvent.action.in_(actions),
        )
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    return session.scalar(newest)


def newest_number(session: Session, project_id: UUID) -> int:
    newest = select(func.max(ModelVersion.number)).where(ModelVersion.project_id == project_id)
    return session.scalar(newest) or 0


def has_labeled_training_image(session: Session, project_id: UUID) -> bool:
    """Somebody decided an active label of a photo that may train."""
    known = (
        select(ImageLabel.image_id)
        .join(Image, Image.id == ImageLabel.image_id)
        .join(Label, Label.id == ImageLabel.label_id)
        .where(
            ImageLabel.project_id == project_id,
            ImageLabel.source != Source.AUTO,
            ImageLabel.value != LabelValue.UNSURE,
            Label.archived_at.is_(None),
            Image.split == Split.TRAIN,
            *_usable(),
        )
    )
    return bool(session.scalar(select(exists(known))))


def stated_images(
    session: Session, project_id: UUID
) -> Iterator[tuple[UUID, str, str, dict[str, str] | None]]:
    """Every image that a training may see: id, content, split, what people and imports said of
    it (label id to value). Streamed by id."""
    stated = func.jsonb_object_agg(ImageLabel.label_id, ImageLabel.value)
    of_people = and_(ImageLabel.image_id == Image.id, ImageLabel.source != Source.AUTO)
    rows = (
        select(Image.id, Image.sha256, Image.split, stated.filter(ImageLabel.label_id.is_not(None)))
        .outerjoin(ImageLabel, of_people)
        .where(Image.project_id == project_id, Image.split != Split.TEST, *_usable())
        .group_by(Image.id)
        .order_by(Image.id)
        .execution_options(yield_per=5000)
    )
    for row in session.execute(rows):
        yield row[0], row[1], row[2], row[3]


def _usable() -> tuple[Any, ...]:
    return Image.state == ImageState.READY, Image.deleted_at.is_(None)


def _versions(project_id: UUID) -> Select[ModelVersion]:
    return select(ModelVersion).where(ModelVersion.project_id == project_id)

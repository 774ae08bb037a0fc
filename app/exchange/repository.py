"""The SQL of exchange: photos found by name or content, and a project read in one long stream."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, String, Uuid, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.annotations.models import Annotation, ImageLabel
from app.identity.models import User
from app.images.models import Image, ImageState
from app.jobs.models import Job, JobKind, JobState
from app.jobs.service import ENDED
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from app.training.models import ModelVersion

BATCH = 500
SUGGESTED = (PseudoLabelState.PENDING, PseudoLabelState.AUTO_ACCEPTED)


@dataclass(frozen=True)
class PhotoRow:
    """`shares_name`: another photo of the project has the same name."""

    id: UUID
    file_name: str
    sha256: str
    byte_size: int
    split: str
    width: int | None
    height: int | None
    shares_name: bool


@dataclass(frozen=True)
class TruthRow:
    image_id: UUID
    label_id: UUID
    value: str
    source: str
    annotation_id: UUID
    active_ms: int | None
    decided_at: datetime
    reviewer: str | None


@dataclass(frozen=True)
class SuggestionRow:
    image_id: UUID
    label_id: UUID
    value: str
    state: str
    confidence: float
    model_version: int


def lock_jobs_with_files(session: Session, moment: datetime, *, limit: int) -> Sequence[Job]:
    """Ended imports and exports whose files nobody needs: all but exports that succeeded after
    `moment`. They are held until the transaction ends; those that somebody else holds are left."""
    needless = or_(
        Job.state != JobState.SUCCEEDED, Job.kind == JobKind.IMPORT, Job.finished_at < moment
    )
    found = (
        select(Job)
        .where(
            Job.kind.in_((JobKind.IMPORT, JobKind.EXPORT, JobKind.EXPORT_MODEL)),
            Job.state.in_(ENDED),
            Job.files_removed_at.is_(None),
            needless,
        )
        .order_by(Job.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(found).all()


def find_by_names(
    session: Session, project_id: UUID, names: Collection[str]
) -> Sequence[tuple[str, UUID]]:
    """(file name, image) of every photo that has one of these names."""
    named = Image.file_name == func.any(bindparam(None, list(names), ARRAY(String)))
    found = select(Image.file_name, Image.id).where(_of_project(project_id), named)
    return [(row[0], row[1]) for row in session.execute(found)]


def find_by_digests(
    session: Session, project_id: UUID, beginnings: Collection[str]
) -> Sequence[tuple[str, UUID]]:
    """(SHA-256, image) of every photo whose SHA-256 begins with one of these."""
    if not beginnings:
        return []
    # "g" comes after every hexadecimal digit, so a range of the index holds all continuations.
    fitting = or_(*(Image.sha256.between(digits, f"{digits}g") for digits in beginnings))
    found = select(Image.sha256, Image.id).where(_of_project(project_id), fitting)
    return [(row[0], row[1]) for row in session.execute(found)]


def count_photos(session: Session, project_id: UUID, split: str | None) -> int:
    counted = select(func.count()).select_from(Image).where(*_exported(project_id, split))
    return session.scalar(counted) or 0


def stream_photos(
    session: Session, project_id: UUID, split: str | None
) -> Iterator[Sequence[PhotoRow]]:
    """The photos of a project by name, in batches out of a cursor on the server."""
    other = aliased(Image)
    shares_name = exists().where(
        other.project_id == Image.project_id,
        other.file_name == Image.file_name,
        other.id != Image.id,
        other.deleted_at.is_(None),
    )
    columns = (Image.id, Image.file_name, Image.sha256, Image.byte_size, Image.split)
    statement = (
        select(*columns, Image.width, Image.height, shares_name)
        .where(*_exported(project_id, split))
        .order_by(Image.file_name, Image.id)
        .execution_options(yield_per=BATCH)
    )
    for batch in session.execute(statement).partitions():
        yield [PhotoRow(*row) for row in batch]


def truth_of(session: Session, image_ids: Collection[UUID]) -> list[TruthRow]:
    """What is known about each label of these photos, who said it and when."""
    columns = (ImageLabel.image_id, ImageLabel.label_id, ImageLabel.value, ImageLabel.source)
    statement = (
        select(*columns, Annotation.id, Annotation.active_ms, Annotation.created_at, User.email)
        .join(Annotation, Annotation.id == ImageLabel.annotation_id)
        .outerjoin(User, User.id == Annotation.author_id)
        .where(_among(ImageLabel.image_id, image_ids))
    )
    return [TruthRow(*row) for row in session.execute(statement)]


def suggestions_of(session: Session, image_ids: Collection[UUID]) -> list[SuggestionRow]:
    """What models say about these photos: open, or accepted by contract; the newest last."""
    columns = (PseudoLabel.image_id, PseudoLabel.label_id, PseudoLabel.value, PseudoLabel.state)
    statement = (
        select(*columns, PseudoLabel.confidence, ModelVersion.number)
        .join(ModelVersion, ModelVersion.id == PseudoLabel.model_version_id)
        .where(_among(PseudoLabel.image_id, image_ids), PseudoLabel.state.in_(SUGGESTED))
        .order_by(PseudoLabel.id)
    )
    return [SuggestionRow(*row) for row in session.execute(statement)]


def _of_project(project_id: UUID) -> ColumnElement[bool]:
    return (Image.project_id == project_id) & Image.deleted_at.is_(None)


def _exported(project_id: UUID, split: str | None) -> list[ColumnElement[bool]]:
    of_split = [] if split is None else [Image.split == split]
    return [_of_project(project_id), Image.state != ImageState.REJECTED, *of_split]


def _among(column: Any, ids: Collection[UUID]) -> ColumnElement[bool]:
    among: ColumnElement[bool] = column == func.any(bindparam(None, list(ids), ARRAY(Uuid)))
    return among

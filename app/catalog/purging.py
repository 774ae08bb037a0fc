"""What a purge removes, in batches that may be repeated: a killed one is simply begun again.

Rows are found by what they belong to, never by a list made before. A batch holds its contents, so
that nobody stores one of them meanwhile, and removes bytes before the commit: what is left after
`kill -9` are rows of hidden photos, which the next attempt finds. Content that any other photo
has, in whichever project, stays.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Delete,
    Uuid,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.annotations.models import Annotation, AnnotationLabel, ImageLabel
from app.core.storage import ObjectStore
from app.images import repository as images
from app.images.blobs import Rendition, blob_key
from app.images.models import Image, ImageEmbedding
from app.jobs.models import Job, JobKind, JobState
from app.projects import kept_days
from app.projects.models import Label, Project, ProjectCounter, ProjectDay
from app.pseudolabels import heat_maps
from app.pseudolabels.models import AcceptanceContract, Prediction, PseudoLabel
from app.reviews.models import Decision, ReviewDraft, ReviewLease, ReviewSkip
from app.training.models import DatasetSnapshot, ModelVersion

BATCH = 100
Owner = InstrumentedAttribute[UUID]


@dataclass(frozen=True)
class Purged:
    """What one batch removed."""

    photos: int
    contents: frozenset[str]


def of_project(project_id: UUID) -> ColumnElement[bool]:
    return Image.project_id == project_id


def hidden_before(moment: datetime) -> ColumnElement[bool]:
    return and_(Image.deleted_at.is_not(None), Image.deleted_at < moment)


def count(session: Session, which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Image).where(which)) or 0


def has_photos(session: Session, which: ColumnElement[bool]) -> bool:
    return bool(session.scalar(select(exists().where(which))))


def purge_photos(session: Session, store: ObjectStore, which: ColumnElement[bool]) -> Purged:
    """Remove one batch of photos with all that was said about them; none are left when it is
    empty."""
    found = select(Image.id, Image.sha256, Image.project_id).where(which)
    rows = session.execute(found.order_by(Image.id).limit(BATCH)).all()
    for sha256 in sorted({row.sha256 for row in rows}):
        images.lock_content(session, sha256)
    ids = _hold([row.id for row in rows], session)
    kept_days.forget(session, {row.project_id for row in rows})
    _delete_rows(session, ids)
    for image_id in ids:
        heat_maps.remove(store, image_id)
    contents = {row.sha256 for row in rows}
    unused = contents - _still_used(session, contents)
    for sha256 in unused:
        for rendition in Rendition:
            store.delete(blob_key(sha256, rendition))
    return Purged(len(rows), frozenset(unused))


def _hold(image_ids: Sequence[UUID], session: Session) -> list[UUID]:
    """Wait for whoever writes about these photos, such as an ingest."""
    held = select(Image.id).where(_one_of(Image.id, image_ids)).order_by(Image.id)
    return list(session.scalars(held.with_for_update()))


def _delete_rows(session: Session, image_ids: Sequence[UUID]) -> None:
    allow(session)
    owners: list[Owner] = [
        ReviewLease.image_id,
        ReviewDraft.image_id,
        ReviewSkip.image_id,
        Decision.image_id,
        ImageLabel.image_id,
        PseudoLabel.image_id,
        Prediction.image_id,
        ImageEmbedding.image_id,
    ]
    statements = select(Annotation.id).where(_one_of(Annotation.image_id, image_ids))
    for owner in owners:
        _execute(session, delete(owner.class_).where(_one_of(owner, image_ids)))
    _execute(session, delete(AnnotationLabel).where(AnnotationLabel.annotation_id.in_(statements)))
    _execute(session, delete(Annotation).where(_one_of(Annotation.image_id, image_ids)))
    _execute(session, delete(Image).where(_one_of(Image.id, image_ids)))


def _still_used(session: Session, contents: Collection[str]) -> set[str]:
    used = select(Image.sha256).where(Image.sha256.in_(contents)).distinct()
    return set(session.scalars(used))


def allow(session: Session) -> None:
    """Let this transaction delete statements, which the database refuses to everybody else."""
    session.execute(select(func.set_config("kizu.purge", "on", True)))


def is_deleted(session: Session, project_id: UUID) -> bool:
    gone = exists().where(Project.id == project_id, Project.deleted_at.is_not(None))
    return bool(session.scalar(select(gone)))


def left_over(session: Session, moment: datetime) -> list[UUID]:
    """Projects deleted before then of which there is more than the tombstone."""
    parts = (Image, Label, ModelVersion, DatasetSnapshot)
    rows = [exists().where(part.project_id == Project.id) for part in parts]
    wanted = select(Project.id).where(Project.deleted_at < moment, or_(*rows))
    return list(session.scalars(wanted.order_by(Project.id)))


def has_work_at_hand(session: Session, project_id: UUID) -> bool:
    """Whether a worker holds a job of the project, other than its purge, and may write."""
    at_hand = exists().where(
        Job.project_id == project_id,
        Job.kind != JobKind.PURGE,
        Job.state == JobState.RUNNING,
        Job.lease_expires_at > func.clock_timestamp(),
    )
    return bool(session.scalar(select(at_hand)))


def files_of(session: Session, store: ObjectStore, project_id: UUID) -> Iterator[str]:
    """Every file of the project's models, snapshots, imports and exports."""
    for prefix in _prefixes(session, project_id):
        yield from store.keys(prefix)
    yield from session.scalars(
        select(DatasetSnapshot.blob_key).where(DatasetSnapshot.project_id == project_id)
    )
    sent = select(Job.payload["blob_key"].astext).where(
        Job.project_id == project_id, Job.payload.has_key("blob_key")
    )
    yield from session.scalars(sent)


def _prefixes(session: Session, project_id: UUID) -> list[str]:
    weights = select(ModelVersion.weights_prefix).where(ModelVersion.project_id == project_id)
    jobs = select(Job.id).where(Job.project_id == project_id)
    folders = [*session.scalars(weights), *(f"jobs/{job_id}" for job_id in session.scalars(jobs))]
    # An empty prefix would name every file there is.
    return [folder for folder in folders if folder.strip("/")]


def purge_remainder(session: Session, project_id: UUID) -> None:
    """Remove what is left of a project without photos: all but its row and its purges."""
    allow(session)
    parts = (
        *(ModelVersion, DatasetSnapshot, AcceptanceContract, Label),
        *(ProjectCounter, ProjectDay),
    )
    for part in parts:
        _execute(session, delete(part).where(part.project_id == project_id))
    ours = and_(Job.project_id == project_id, Job.kind != JobKind.PURGE)
    _execute(session, delete(Job).where(ours))


def _one_of(column: Owner, ids: Sequence[UUID]) -> ColumnElement[bool]:
    return column == func.any(bindparam(None, list(ids), ARRAY(Uuid)))


def _execute(session: Session, statement: Delete) -> None:
    session.execute(statement.execution_options(synchronize_session=False))

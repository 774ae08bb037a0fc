"""Rules of images: what an upload leaves behind, the verdict of the worker, edits, deletion.

Photos are stored once per project under their SHA-256. Reading and listing across nouns belongs
to `catalog`; decoding belongs to the workers.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.core import audit, queue
from app.core.clock import now
from app.core.errors import Invalid, NotFound
from app.core.ids import new_id
from app.core.multipart import ReceivedFile
from app.core.queue import Queue
from app.core.storage import ObjectStore
from app.images import bursts, embeddings, repository
from app.images.blobs import blob_key
from app.images.draws import draw_split, is_full, new_group
from app.images.inspection import Header, Reason, inspect
from app.images.models import Image, ImageState, Split
from app.projects import service as projects
from app.projects.models import Counter, Project

INGEST_TASK = "worker.tasks.ingest.ingest_image"
STUCK_AFTER = timedelta(seconds=60)
# A day away from the years that Python cannot name, so that every time zone can.
EARLIEST_CAPTURE = datetime(1900, 1, 1, tzinfo=UTC)
CAPTURE_END = datetime(9999, 1, 1, tzinfo=UTC)
STATE_COUNTERS = {ImageState.READY: Counter.READY, ImageState.REJECTED: Counter.REJECTED}


@dataclass(frozen=True)
class Capture:
    """Where and when a photo was taken; `split` is what its sender says it is for."""

    line: str | None = None
    station: str | None = None
    camera: str | None = None
    lot: str | None = None
    part: str | None = None
    captured_at: datetime | None = None
    split: Split | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class ReceiptStatus(StrEnum):
    CREATED = "created"
    ALREADY_THERE = "already_there"


@dataclass(frozen=True)
class Receipt:
    image: Image
    status: ReceiptStatus


@dataclass(frozen=True)
class KnownContent:
    """A photo that the project has, by its content; the name is the one it was stored under."""

    sha256: str
    image_id: UUID
    file_name: str


@dataclass(frozen=True)
class Findings:
    """What decoding found out; sizes in pixels, after EXIF orientation."""

    width: int
    height: int
    bit_depth: int
    perceptual_hash: int
    captured_at: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def receive_upload(
    session: Session,
    store: ObjectStore,
    *,
    project: Project,
    file: ReceivedFile,
    capture: Capture,
    max_pixels: int,
) -> Receipt:
    """Store one photo and ask for its ingest. A photo the project has already changes nothing.

    Raises `ImageRejected` when the header shows that it can be no image, `OutOfSpace`.
    """
    header = inspect(file.path, max_pixels=max_pixels)
    known = repository.find_by_content(session, project.id, file.sha256)
    if known is not None:
        return Receipt(known, ReceiptStatus.ALREADY_THERE)
    repository.lock_content(session, file.sha256)
    store.put_file(blob_key(file.sha256), file.path)
    image_id = _add_row(session, project, file=file, header=header, capture=capture)
    if image_id is not None:
        projects.adjust_counter(session, project.id, Counter.IMAGES, 1)
        ring_ingest(session, image_id)
    image = repository.find_by_content(session, project.id, file.sha256)
    if image is None:
        raise NotFound("The image was deleted while it was uploaded.")
    return Receipt(image, ReceiptStatus.CREATED if image_id else ReceiptStatus.ALREADY_THERE)


def _add_row(
    session: Session, project: Project, *, file: ReceivedFile, header: Header, capture: Capture
) -> UUID | None:
    if capture.lot is not None:
        repository.lock_lot(session, project.id, capture.lot)
    image_id = new_id()
    group = _group(session, project, image_id, capture.lot)
    split = capture.split
    if split is None or split is Split.TRAIN:
        split = draw_split(project.draw_secret, group, project.evaluation_rate)
    values = {
        "id": image_id,
        "project_id": project.id,
        "sha256": file.sha256,
        "file_name": file.file_name,
        "media_type": header.media_type,
        "byte_size": file.byte_size,
        "split": split,
        "group_key": group,
        "line": capture.line,
        "station": capture.station,
        "camera": capture.camera,
        "lot": capture.lot,
        "part": capture.part,
        "captured_at": _stated_moment(capture.captured_at, project),
        "details": dict(capture.details),
    }
    return repository.add(session, values)


def _group(session: Session, project: Project, image_id: UUID, lot: str | None) -> str:
    if lot is None:
        return str(image_id)
    newest = repository.newest_group(session, project.id, lot)
    image_count = projects.counters(session, project.id).get(Counter.IMAGES, 0)
    if newest is None or is_full(
        repository.group_size(session, project.id, newest), image_count + 1
    ):
        return new_group(lot, image_id)
    return newest


def _localized(moment: datetime, project: Project) -> datetime | None:
    """Cameras write times without a zone; they mean the factory's. None when nobody took photos
    then: PostgreSQL would keep such a time, but nobody could read the row again."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(project.time_zone))
    return moment if EARLIEST_CAPTURE <= moment < CAPTURE_END else None


def _stated_moment(moment: datetime | None, project: Project) -> datetime | None:
    """What a person says about when a photo was taken."""
    localized = _localized(moment, project) if moment else None
    if moment and localized is None:
        raise Invalid(f"A photo cannot have been taken at {moment.isoformat()} (captured_at).")
    return localized


def ring_ingest(session: Session, image_id: UUID) -> None:
    queue.ring(session, INGEST_TASK, Queue.CPU, image_id=str(image_id))


def stuck_image_ids(
    session: Session, *, older_than: timedelta = STUCK_AFTER, limit: int = 200
) -> list[UUID]:
    """Images that nobody has ingested although they arrived a while ago, oldest first."""
    return repository.stuck(session, older_than=older_than, limit=limit)


def begin_ingest(session: Session, image_id: UUID) -> int | None:
    """Count an attempt and say which; None when the image is settled or a worker has it."""
    image = repository.lock_received(session, image_id)
    if image is None:
        return None
    image.ingest_attempts += 1
    session.flush()
    return image.ingest_attempts


def forgive_ingest(session: Session, image_id: UUID) -> None:
    """Take back an attempt that failed for another reason than the photo."""
    image = repository.lock_received(session, image_id)
    if image is not None:
        image.ingest_attempts -= 1
        session.flush()


def claim_for_ingest(session: Session, image_id: UUID) -> Image | None:
    """The image, held by this transaction; None when it is settled or another worker has it."""
    return repository.lock_received(session, image_id)


def mark_ready(session: Session, project: Project, image_id: UUID, findings: Findings) -> bool:
    """Record that an image can be used; False when it had its verdict already or was deleted."""
    image = repository.get(session, project.id, image_id)
    values: dict[str, Any] = {
        "state": ImageState.READY,
        "width": findings.width,
        "height": findings.height,
        "bit_depth": findings.bit_depth,
        "perceptual_hash": findings.perceptual_hash,
    }
    if image is not None:
        values["details"] = {**findings.details, **image.details}
        taken_at = _localized(findings.captured_at, project) if findings.captured_at else None
        values["captured_at"] = image.captured_at or taken_at
        values["burst_id"] = bursts.find(
            session,
            image,
            perceptual_hash=findings.perceptual_hash,
            moment=values["captured_at"] or image.created_at,
        )
    is_settled = _settle(session, image_id, values)
    if is_settled:
        embeddings.expect(session, image_id, project.id)
    return is_settled


def mark_rejected(session: Session, image_id: UUID, reason: Reason, detail: str) -> bool:
    """Record that an image cannot be used, and why; False as for `mark_ready`."""
    values = {"state": ImageState.REJECTED, "reason": f"{reason}: {detail}"}
    return _settle(session, image_id, values)


def _settle(session: Session, image_id: UUID, values: dict[str, Any]) -> bool:
    project_id = repository.settle(session, image_id, values)
    if project_id is None:
        return False
    projects.adjust_counter(session, project_id, STATE_COUNTERS[values["state"]], 1)
    return True


def get_image(session: Session, project_id: UUID, image_id: UUID) -> Image:
    image = repository.get(session, project_id, image_id)
    if image is None:
        raise NotFound("This project has no such image.")
    return image


def hold_image(session: Session, project_id: UUID, image_id: UUID) -> Image:
    """The image as it is now, held until the transaction ends, so that an edit loses none."""
    image = repository.lock(session, project_id, image_id)
    if image is None:
        raise NotFound("This project has no such image.")
    return image


def get_images(session: Session, project_id: UUID, image_ids: Collection[UUID]) -> list[Image]:
    """Those of these images that the project has, by id."""
    return repository.get_many(session, project_id, image_ids)


def known_contents(
    session: Session, project_id: UUID, digests: Collection[str]
) -> list[KnownContent]:
    """Which of these contents the project has already, so that nobody sends them again."""
    rows = repository.known_contents(session, project_id, digests)
    return [KnownContent(row.sha256, row.id, row.file_name) for row in rows]


def read_original(store: ObjectStore, image: Image) -> bytes:
    return store.get(blob_key(image.sha256))


def edit_metadata(
    session: Session, image: Image, changes: Mapping[str, Any], *, project: Project, actor_id: UUID
) -> Image:
    """Change where and when a photo was taken. Its split stays: it was drawn on arrival."""
    before = {name: getattr(image, name) for name in changes}
    for name, value in changes.items():
        setattr(image, name, _stated_moment(value, project) if name == "captured_at" else value)
    image.version += 1
    session.flush()
    audit.record(
        session,
        "image.edited",
        "image",
        image.id,
        actor_id=actor_id,
        project_id=image.project_id,
        before=_plain(before),
        after=_plain(changes),
    )
    return image


def hide(session: Session, image: Image, *, actor_id: UUID) -> None:
    """Delete an image for everybody at once; its bytes and rows are purged later."""
    image.deleted_at = now()
    image.version += 1
    session.flush()
    embeddings.forget(session, image.id)
    projects.adjust_counter(session, image.project_id, Counter.IMAGES, -1)
    counter = STATE_COUNTERS.get(ImageState(image.state))
    if counter is not None:
        projects.adjust_counter(session, image.project_id, counter, -1)
    audit.record(
        session,
        "image.deleted",
        "image",
        image.id,
        actor_id=actor_id,
        project_id=image.project_id,
        before={"file_name": image.file_name, "sha256": image.sha256},
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}

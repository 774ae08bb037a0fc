"""What happens to a photo after its upload: decoded, shrunk, fingerprinted, judged.

Safe on redelivery: the first worker holds the row, a settled image is left alone, and the blobs
lie under the hash of the content, so writing them twice changes nothing.
"""

import io
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.core.db import transaction
from app.core.errors import NotFound, Unavailable
from app.core.storage import ObjectStore
from app.images import service as images
from app.images.blobs import LONGEST_SIDE, Rendition, blob_key
from app.images.inspection import Reason
from app.images.models import Image
from app.images.service import INGEST_TASK, Findings
from app.projects import service as projects
from worker.base_task import is_disk_full
from worker.celery_app import application
from worker.imaging.decode import Photo, Undecodable, decode
from worker.imaging.fingerprint import perceptual_hash
from worker.imaging.renditions import deep_png, jpeg
from worker.process import OUTAGES, Process, persist, this_process

log = structlog.get_logger()

MAX_ATTEMPTS = 5
GIVEN_UP = f"The photo could not be read: {MAX_ATTEMPTS} attempts ended without a result."


@application.task(name=INGEST_TASK)
def ingest_image(image_id: str) -> None:
    """Give an image its verdict. What fails for another reason than the photo is tried again."""
    here, wanted = this_process(), UUID(image_id)
    # Committed before the photo is touched: one that kills the process must not do so for ever.
    attempt = persist(here.sessions, lambda session: images.begin_ingest(session, wanted))
    if attempt is None:
        return
    if attempt > MAX_ATTEMPTS:
        persist(
            here.sessions,
            lambda session: images.mark_rejected(session, wanted, Reason.CORRUPT, GIVEN_UP),
        )
        return
    try:
        with transaction(here.sessions) as session:
            image = images.claim_for_ingest(session, wanted)
            if image is not None:
                _judge(session, here, image)
    except Exception as error:
        log.error("image not ingested", image=image_id, attempt=attempt, exc_info=error)
        if is_outage(error):
            persist(here.sessions, lambda session: images.forgive_ingest(session, wanted))


def is_outage(error: Exception) -> bool:
    """Whether the database, the store or the disk failed, and not the photo."""
    return isinstance(error, (*OUTAGES, Unavailable)) or is_disk_full(error)


def _judge(session: Session, here: Process, image: Image) -> None:
    try:
        content = images.read_original(here.store, image)
        photo = decode(
            io.BytesIO(content),
            max_pixels=here.settings.image_max_pixels,
            at_least=max(LONGEST_SIDE.values()),
        )
    except Undecodable as error:
        images.mark_rejected(session, image.id, Reason(error.flaw.value), error.detail)
        return
    except NotFound:
        images.mark_rejected(session, image.id, Reason.CORRUPT, "The stored file is gone.")
        return
    store_renditions(here.store, image.sha256, photo)
    project = projects.get_project_by_id(session, image.project_id)
    images.mark_ready(session, project, image.id, find_out(photo))


def find_out(photo: Photo) -> Findings:
    details: dict[str, Any] = {"frames": photo.frames} if photo.frames > 1 else {}
    return Findings(
        width=photo.width,
        height=photo.height,
        bit_depth=photo.bit_depth,
        perceptual_hash=perceptual_hash(photo.picture),
        captured_at=photo.taken_at,
        details=details,
    )


def store_renditions(store: ObjectStore, sha256: str, photo: Photo) -> None:
    for rendition in (Rendition.THUMBNAIL, Rendition.PREVIEW):
        small = jpeg(photo.picture, longest_side=LONGEST_SIDE[rendition])
        store.put(blob_key(sha256, rendition), small)
    if photo.greys is not None:
        deep = deep_png(photo.greys, longest_side=LONGEST_SIDE[Rendition.DEEP])
        store.put(blob_key(sha256, Rendition.DEEP), deep)

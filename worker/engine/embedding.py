"""Photos and sentences in the joint space of a backbone as it was pre-trained, for searching.

A batch is one transaction, so a killed worker leaves whole batches. A worker takes some seconds of
photos and rings again for the rest: searches and predictions get their turn in between.
"""

import io
import math
import time
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import structlog
import torch
from torch import Tensor
from torch.nn import functional as F

from app.core.db import transaction
from app.core.errors import NotFound
from app.images import embeddings
from app.images.blobs import LONGEST_SIDE, Rendition, blob_key
from app.images.embeddings import Embedding
from app.projects import service as projects
from worker.engine.device import device_name, use_threads
from worker.engine.model_cache import shared_models
from worker.imaging.decode import Undecodable, decode
from worker.learning.backbone import Backbone
from worker.learning.dataset import Pixels
from worker.learning.predictor import as_pixels
from worker.learning.sources import UnsupportedBackbone, WeightsMissing
from worker.process import Process, is_stopping

log = structlog.get_logger()

PHOTOS_AT_ONCE = 32
TEXTS_AT_ONCE = 256
TURN_SECONDS = 5.0
TRY_AGAIN_SECONDS = 600.0
_missing: dict[str, tuple[float, str]] = {}
_renewed: dict[str, str] = {}


def embed_photos(here: Process, project_id: UUID) -> None:
    """Look at photos of this project that wait, for one turn."""
    use_threads(here.settings)
    until = time.monotonic() + TURN_SECONDS
    while not is_stopping():
        name = _backbone_of(here, project_id)
        backbone = _load(here, name) if name else None
        if name is None or backbone is None:
            return
        is_over = time.monotonic() > until
        with transaction(here.sessions) as session:
            waiting = embeddings.claim(session, project_id, name, limit=PHOTOS_AT_ONCE)
            found = dict(_see(here, backbone, waiting))
            embeddings.store(session, found, backbone=name, weights=backbone.version)
            if waiting and is_over:
                embeddings.ring_photos(session, project_id)
        if not waiting or is_over:
            return


def embed_texts(here: Process, name: str) -> None:
    """Read every sentence that waits for this backbone."""
    use_threads(here.settings)
    backbone = _load(here, name)
    while backbone is not None and not is_stopping():
        with transaction(here.sessions) as session:
            waiting = embeddings.texts_waiting(session, name, limit=TEXTS_AT_ONCE)
            if not waiting:
                return
            with torch.inference_mode():
                found = dict(zip(waiting, _units(backbone.encode_text(waiting)), strict=True))
            embeddings.store_texts(session, found, backbone=name, weights=backbone.version)


def _backbone_of(here: Process, project_id: UUID) -> str | None:
    with transaction(here.sessions) as session:
        try:
            return projects.get_project_by_id(session, project_id).backbone
        except NotFound:
            return None


def _load(here: Process, name: str) -> Backbone | None:
    """The backbone; None where its weights cannot be had, which those who search are told."""
    until, problem = _missing.get(name, (0.0, ""))
    if time.monotonic() >= until:
        try:
            return _current(here, shared_models(here.settings.data_dir).backbone(name))
        except (WeightsMissing, UnsupportedBackbone) as error:
            problem = str(error)
            log.warning("no embeddings", backbone=name, error=problem)
            _missing[name] = (time.monotonic() + TRY_AGAIN_SECONDS, problem)
    with transaction(here.sessions) as session:
        embeddings.note_problem(session, name, problem)
    return None


def _current(here: Process, backbone: Backbone) -> Backbone:
    """The same; what other weights of its name have made is forgotten."""
    if _renewed.get(backbone.name) != backbone.version:
        with transaction(here.sessions) as session:
            embeddings.renew(session, backbone.name, backbone.version)
        _renewed[backbone.name] = backbone.version
    return backbone


def _see(
    here: Process, backbone: Backbone, photos: Sequence[tuple[UUID, str]]
) -> list[tuple[UUID, Embedding | None]]:
    """The embedding of each photo, by its id; None where its picture is gone or unreadable."""
    pictures = {image_id: _read(here, sha256, backbone.image_size) for image_id, sha256 in photos}
    sound = {image_id: picture for image_id, picture in pictures.items() if picture is not None}
    if not sound:
        return [(image_id, None) for image_id in pictures]
    size = (backbone.image_size, backbone.image_size)
    pixels = torch.stack([as_pixels(one, size) for one in sound.values()])
    with torch.inference_mode():
        pooled = backbone.encode_image(pixels.to(device_name())).pooled
    seen = dict(zip(sound, _units(pooled), strict=True))
    return [(image_id, seen.get(image_id)) for image_id in pictures]


def _read(here: Process, sha256: str, side: int) -> Pixels | None:
    """The smallest picture that is as fine as the backbone sees."""
    rendition = Rendition.PREVIEW
    if side <= LONGEST_SIDE[Rendition.THUMBNAIL]:
        rendition = Rendition.THUMBNAIL
    try:
        content = here.store.get(blob_key(sha256, rendition))
        photo = decode(io.BytesIO(content), max_pixels=here.settings.image_max_pixels)
    except (NotFound, Undecodable) as error:
        log.warning("a photo gets no embedding", content=sha256, error=str(error))
        return None
    return np.asarray(photo.picture)


def _units(features: Tensor) -> list[Embedding | None]:
    """Features (N, D) at unit length; None for one that is no direction."""
    rows: list[Embedding] = F.normalize(features.float(), dim=-1).cpu().tolist()
    return [row if all(map(math.isfinite, row)) and any(row) else None for row in rows]

"""A prediction: a model version looks at every photo, in chunks that many workers share.

The live version also proposes what it is confident about, present and absent alike; the service
refuses proposals about evaluation and test photos, and about labels that are known.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.core.errors import NotFound
from app.images import queue as image_queue
from app.images import service as images
from app.images.models import Image, ImageState
from app.jobs.contracts import PredictPayload
from app.jobs.models import Job
from app.jobs.stages import JobStage
from app.projects import service as projects
from app.projects.models import RolloutStage
from app.pseudolabels import acceptance
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.rows import PredictionRow, Proposal
from app.training import service as training
from app.training.models import ModelState, ModelVersion
from worker.base_task import ChunkRun, Chunks, JobRun
from worker.engine import explaining
from worker.engine.alive import kept_alive
from worker.engine.device import use_threads
from worker.engine.looking import Looker, Pictures
from worker.engine.model_cache import shared_models, shared_tokens
from worker.engine.photos import PhotoReader
from worker.learning.predictor import Predictions, Predictor
from worker.learning.thresholds import ABSENT, NONE, Thresholds

CHUNK_SIZE = 256
LONGEST_LOADING_SECONDS = 3600.0


class PhotoGone(Exception):
    """A photo was purged after the chunk's rows were read: a retry will not see it."""


def plan(run: JobRun) -> Chunks:
    """Cut the project's photos, or those that were named, into chunks."""
    assert run.project_id is not None
    payload = PredictPayload.model_validate(run.payload)
    with run.sessions() as session:
        version = training.get_version(session, run.project_id, payload.model_version_id)
        chunks = _cut(session, run.project_id, payload.image_ids)
    run.log(f"Version {version.number} looks at the photos in {len(chunks)} parts.")
    result = {"model_version_id": str(version.id), "images": 0, "pseudo_labels": 0}
    return Chunks(chunks, result, JobStage.PREDICT)


def _cut(session: Session, project_id: UUID, named: Sequence[UUID] | None) -> list[dict[str, Any]]:
    if named is None:
        cut = pseudolabels.cut_chunks(session, project_id, size=CHUNK_SIZE)
        return [{"first": str(first), "last": str(last)} for first, last in cut]
    ids = [str(image_id) for image_id in named]
    return [
        {"image_ids": ids[first : first + CHUNK_SIZE]} for first in range(0, len(ids), CHUNK_SIZE)
    ]


def look(run: ChunkRun) -> dict[str, Any]:
    """Predict the photos of one chunk, and propose what the live version is sure of."""
    assert run.project_id is not None
    use_threads(run.settings)
    payload = PredictPayload.model_validate(run.job_payload)
    with run.sessions() as session:
        version = training.get_version(session, run.project_id, payload.model_version_id)
        photos = _photos(session, run)
        wanted = explaining.open_to_people(session, version, photos)
        wanted &= _may_propose(session, version)
    if not photos:
        return {"images": 0, "pseudo_labels": 0}
    predictor = _predictor(run, version)
    seen, pictures = _look(run, predictor, photos, wanted)
    explaining.keep(run, version, photos, pictures)
    novelty = _novelty(run, version, seen)
    proposed = 0
    forgotten: set[tuple[UUID, UUID]] = set()
    with run.transaction() as session:
        version = training.get_version(session, run.project_id, version.id)
        # Held in the order of their ids before anything is written, as every other writer does.
        image_queue.lock(session, run.project_id, [photo.id for photo in photos])
        pseudolabels.store_predictions(
            session, version=version, rows=_prediction_rows(photos, seen, novelty)
        )
        if _may_propose(session, version):
            looked_at = [photo.id for photo in photos]
            forgotten = pseudolabels.forget_heat_maps(session, looked_at, version)
            proposed = pseudolabels.propose(
                session,
                version=version,
                rows=_proposals(
                    session, version, photos, seen, pictures, predictor.card.thresholds
                ),
                image_ids=looked_at,
            )
            proposed -= acceptance.accept_new(session, version, looked_at)
    explaining.delete(run.store, forgotten)
    return {"images": len(photos), "pseudo_labels": proposed}


def sum_up(session: Session, job: Job, results: list[dict[str, Any]]) -> None:
    totals = {name: sum(one[name] for one in results) for name in ("images", "pseudo_labels")}
    job.result = {**(job.result or {}), **totals}


def _photos(session: Session, run: ChunkRun) -> list[Image]:
    assert run.project_id is not None
    if "image_ids" in run.payload:
        named = [UUID(one) for one in run.payload["image_ids"]]
        found = images.get_images(session, run.project_id, named)
        return [photo for photo in found if photo.state == ImageState.READY]
    first, last = UUID(run.payload["first"]), UUID(run.payload["last"])
    return pseudolabels.images_of_chunk(session, run.project_id, first, last)


def _predictor(run: ChunkRun, version: ModelVersion) -> Predictor:
    models = shared_models(run.settings.data_dir)
    with kept_alive(run.tick, at_most=LONGEST_LOADING_SECONDS):
        return models.predictor(run.store, version)


def _look(
    run: ChunkRun, predictor: Predictor, photos: Sequence[Image], wanted: NDArray[np.bool_]
) -> tuple[Predictions, list[Pictures]]:
    canvas = predictor.card.grid.canvas
    reader = PhotoReader(run.store, run.settings.image_max_pixels, at_least=max(canvas))
    looker = Looker(predictor, reader, shared_tokens(run.settings))
    contents = [photo.sha256 for photo in photos]
    thresholds = predictor.card.thresholds

    def before_batch(share: float) -> None:
        run.ensure_not_stopped()
        run.report(share)

    try:
        return looker.look_and_explain(contents, thresholds, wanted, before_batch=before_batch)
    except NotFound as error:
        raise PhotoGone(error.detail) from error


def _novelty(run: ChunkRun, version: ModelVersion, seen: Predictions) -> list[float | None]:
    """How unlike the version's labelled photos each photo is; None if it kept none of them."""
    models = shared_models(run.settings.data_dir)
    measure = models.novelty(run.store, version)
    if measure is None:
        return [None] * len(seen.embedding)
    return list(measure(seen.embedding).tolist())


def _prediction_rows(
    photos: Sequence[Image], seen: Predictions, novelty: Sequence[float | None]
) -> list[PredictionRow]:
    margin = seen.margin
    return [
        PredictionRow(
            image_id=photo.id,
            probabilities=seen.probabilities[row].tolist(),
            contexts=seen.context[row].tolist(),
            uncertainty=float(seen.uncertainty[row]),
            margin=float(margin[row]),
            novelty=novelty[row],
        )
        for row, photo in enumerate(photos)
    ]


def _may_propose(session: Session, version: ModelVersion) -> bool:
    project = projects.get_project_by_id(session, version.project_id)
    return version.state == ModelState.LIVE and project.stage != RolloutStage.MANUAL


def _proposals(
    session: Session,
    version: ModelVersion,
    photos: Sequence[Image],
    seen: Predictions,
    pictures: Sequence[Pictures],
    thresholds: Thresholds,
) -> list[Proposal]:
    """One for each label of each photo that is likely enough, present or absent."""
    active = {label.id for label in projects.list_labels(session, version.project_id)}
    label_ids = [UUID(label_id) for label_id in version.label_ids]
    pseudo = seen.pseudo_labels(thresholds)
    return [
        Proposal(
            image_id=photos[row].id,
            label_id=label_ids[column],
            value=LabelValue.ABSENT if is_absent else LabelValue.PRESENT,
            confidence=float(pseudo.confidence[row, column]),
            threshold=1 - thresholds.absent[column] if is_absent else thresholds.present[column],
            has_heat_map=column in pictures[row],
        )
        for row, column in np.argwhere(pseudo.value != NONE).tolist()
        if label_ids[column] in active
        for is_absent in [pseudo.value[row, column] == ABSENT]
    ]

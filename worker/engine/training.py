"""A training, end to end: freeze a snapshot, learn, compare with the live version, publish.

What an attempt leaves in the work folder, and the snapshot's row, are found again by the next
one: a training killed in the middle goes on from its last checkpoint, on the same data.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import LabelValue
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.jobs.contracts import TrainPayload
from app.jobs.models import Job
from app.jobs.stages import JobStage
from app.projects import service as projects
from app.training import doubts, gate, snapshots
from app.training import service as training
from app.training.doubts import Doubt
from app.training.models import DatasetSnapshot, ModelVersion
from app.training.service import NotEnoughLabels, Trained
from app.training.snapshots import Snapshot
from worker.base_task import JobRun, JobStopped
from worker.engine import snapshots as files
from worker.engine.alive import kept_alive
from worker.engine.course import Course
from worker.engine.device import threads, use_threads
from worker.engine.examination import Scored, Scores, compare, evaluation_set, version_metrics
from worker.engine.growth import beside, looking_like, spec
from worker.engine.looking import Looker
from worker.engine.model_cache import shared_models, shared_tokens
from worker.engine.parallel import processes_for, train_in_processes
from worker.engine.photos import PhotoReader
from worker.engine.training_set import in_order, with_photos, with_tokens
from worker.learning import dataset
from worker.learning.backbone import Backbone, UnsupportedBackbone, WeightsMissing
from worker.learning.contexts import PriorGroups
from worker.learning.dataset import TrainingSet
from worker.learning.growing import grow
from worker.learning.novelty import NOVELTY, Novelty, draw_references
from worker.learning.plan import Mode, TrainingConfig, resolve
from worker.learning.predictor import CARD, WEIGHTS, Predictor, TrainedModel
from worker.learning.progress import OnProgress, Progress, Stage, Stopped
from worker.learning.tiling import Grid
from worker.learning.trainer import train

LEARNING_SHARE = 0.95
LONGEST_DOWNLOAD_SECONDS = 3600.0
STAGES = {
    Stage.PREPARE: JobStage.READ_PHOTOS,
    Stage.CROSS_FIT: JobStage.MEASURE_CONFIDENCE,
    Stage.WARM_UP: JobStage.LEARN,
    Stage.PSEUDO_LABELS: JobStage.LEARN_PSEUDO_LABELS,
    Stage.EVALUATE: JobStage.EVALUATE,
}


class BackboneUnusable(Invalid):
    code, title = "backbone-unusable", "The backbone cannot be used"


@dataclass(frozen=True)
class Settled:
    """What the project says about its trainings, read once; `guarded` are label ids."""

    backbone: str
    margin: float
    guarded: set[str]
    live: ModelVersion | None
    grow_from: ModelVersion | None


@dataclass(frozen=True)
class Learned:
    """A trained model, and whose columns its labels are."""

    model: TrainedModel
    label_ids: list[UUID]


class Attempt:
    """One attempt at a training; `publish` runs in the transaction that ends the job."""

    trained: Trained

    def work(self, run: JobRun) -> dict[str, Any]:
        use_threads(run.settings)
        payload = TrainPayload.model_validate(run.payload)
        run.report(0.0, JobStage.FREEZE)
        snapshot = frozen_snapshot(run, payload)
        settled = read_settings(run, payload)
        with said_plainly():
            learned = (learn if settled.grow_from is None else learn_new)(
                run, payload, snapshot, settled
            )
            self.trained = examined(run, learned, snapshot, settled)
        return {"snapshot_id": str(run.job_id)}

    def publish(self, session: Session, job: Job, result: dict[str, Any]) -> None:
        version = training.publish(session, job, self.trained)
        following = training.predict_after_training(session, job, version)
        keys = annotations.label_keys(session, version.project_id)
        result |= {
            "model_version_id": str(version.id),
            "number": version.number,
            "state": version.state,
            "gate": gate.worded(version.gate, keys)["reason"],
            "prediction_job_id": str(following.id) if following else None,
        }


def frozen_snapshot(run: JobRun, payload: TrainPayload) -> Snapshot:
    """The data of this training, frozen by its first attempt and read back by every one."""
    assert run.project_id is not None
    with run.sessions() as session:
        known = snapshots.find(session, run.job_id)
        fresh = None if known else snapshots.build(session, run.project_id, seed=payload.seed)
    path = run.workdir / "snapshot.parquet"
    if fresh is not None:
        files.write(fresh, path)
        key = f"{run.blob_prefix}/snapshot.parquet"
        run.store.put_file(key, path)
        with run.transaction() as session:
            snapshots.record(
                session, fresh, project_id=run.project_id, job_id=run.job_id, blob_key=key
            )
        return fresh
    assert known is not None
    return _read_back(run, known)


def _read_back(run: JobRun, known: DatasetSnapshot) -> Snapshot:
    path = run.workdir / "snapshot.parquet"
    path.write_bytes(run.store.get(known.blob_key))
    return files.read(path, sha256=known.sha256)


def read_settings(run: JobRun, payload: TrainPayload) -> Settled:
    assert run.project_id is not None
    with run.sessions() as session:
        project = projects.get_project_by_id(session, run.project_id)
        labels = projects.list_labels(session, run.project_id)
        return Settled(
            backbone=payload.backbone or project.backbone,
            margin=project.gate_margin,
            guarded={str(label.id) for label in labels if label.is_guarded},
            live=training.live_version(session, run.project_id),
            grow_from=(
                training.get_version(session, run.project_id, payload.grow_from)
                if payload.grow_from
                else None
            ),
        )


@contextmanager
def said_plainly() -> Iterator[None]:
    """What learning refuses, as errors that people read; a job fails with them at once."""
    try:
        yield
    except dataset.NotEnoughLabels as error:
        raise NotEnoughLabels(str(error)) from error
    except WeightsMissing as error:
        raise BackboneUnusable(
            f"The backbone's weights cannot be read. {_sentence(error)}"
        ) from error
    except UnsupportedBackbone as error:
        raise BackboneUnusable(f"This backbone cannot be used. {_sentence(error)}") from error
    except NotFound as error:
        raise NotFound("A photo was deleted while the training ran. Start it again.") from error
    except Stopped as stopped:
        raise JobStopped from stopped


def _sentence(error: Exception) -> str:
    return f"{str(error).rstrip('.')}."


def learn(run: JobRun, payload: TrainPayload, snapshot: Snapshot, settled: Settled) -> Learned:
    run.report(0.0, JobStage.LOAD)
    with kept_alive(run.tick, at_most=LONGEST_DOWNLOAD_SECONDS):
        backbone = shared_models(run.settings.data_dir).backbone(settled.backbone)
    config = TrainingConfig(
        mode=Mode(payload.mode or Mode.AUTO),
        seed=payload.seed,
        resolution=payload.resolution,
        epochs=payload.epochs,
        time_budget_seconds=payload.time_budget_seconds or usual_budget(run, payload, backbone),
        context_prior=lent_groups(payload),
        threads=threads(run.settings),
    )
    if snapshot.rows:
        config = resolve(config, backbone, with_photos(snapshot, _photos(run, None)))
    count = 1 if config.mode is Mode.FROZEN else processes_for(backbone, run.settings)
    learn_it = train if count == 1 else partial(train_in_processes, count)
    model = learn_it(
        _training_set(run, snapshot, backbone, config),
        [spec(label) for label in snapshot.labels],
        backbone,
        config,
        workdir=run.workdir / "training",
        on_progress=reporting(run),
        should_stop=run.should_stop,
    )
    return Learned(model, [label.id for label in snapshot.labels])


def usual_budget(run: JobRun, payload: TrainPayload, backbone: Backbone) -> float | None:
    """Seconds for a training of which nobody has said how long it may take: without a GPU what it
    needs may be hours."""
    on_cpu = next(backbone.parameters()).device.type == "cpu"
    asked = payload.epochs is not None
    return run.settings.train_cpu_seconds or None if on_cpu and not asked else None


def learn_new(run: JobRun, payload: TrainPayload, snapshot: Snapshot, settled: Settled) -> Learned:
    """The labels that the version to grow from does not know, on top of it."""
    run.report(0.0, JobStage.LOAD)
    version = settled.grow_from
    assert version is not None
    with kept_alive(run.tick, at_most=LONGEST_DOWNLOAD_SECONDS):
        models = shared_models(run.settings.data_dir)
        predictor = models.predictor(run.store, version)
    columns = beside(snapshot, predictor, [UUID(label_id) for label_id in version.label_ids])
    config = looking_like(
        predictor,
        TrainingConfig(
            seed=payload.seed,
            epochs=payload.epochs,
            time_budget_seconds=payload.time_budget_seconds,
            threads=threads(run.settings),
        ),
    )
    photos = _training_set(run, snapshot, predictor.classifier.backbone, config)
    model = grow(
        columns.model,
        in_order(photos, snapshot, columns.label_ids),
        columns.labels,
        config,
        origin=f"version {version.number}",
        workdir=run.workdir / "training",
        on_progress=reporting(run),
        should_stop=run.should_stop,
    )
    return Learned(model, columns.label_ids)


def lent_groups(payload: TrainPayload) -> PriorGroups | None:
    lent = payload.lent_groups
    return None if lent is None else PriorGroups(lent.origin, lent.groups)


def _training_set(
    run: JobRun, snapshot: Snapshot, backbone: Backbone, config: TrainingConfig
) -> TrainingSet:
    if not snapshot.rows:  # learning says what is missing
        return with_photos(snapshot, _photos(run, None))
    photos = _photos(run, config.grid)
    if config.mode is not Mode.FROZEN:
        return with_photos(snapshot, photos)

    def before_batch(share: float) -> None:
        run.ensure_not_stopped()
        run.report(0.0, f"{STAGES[Stage.PREPARE]} ({share:.0%})")

    tokens = shared_tokens(run.settings)
    return with_tokens(snapshot, backbone, config, photos, tokens, before_batch=before_batch)


def _photos(run: JobRun, grid: Grid | None) -> PhotoReader:
    """Photos no larger than `grid` needs them; as they are without one."""
    at_least = None if grid is None else max(grid.canvas)
    return PhotoReader(run.store, run.settings.image_max_pixels, at_least=at_least)


def reporting(run: JobRun) -> OnProgress:
    """What tells the job how far the training is, and how it went so far."""
    course = Course()

    def report(progress: Progress) -> None:
        stage = STAGES[progress.stage]
        course.note(progress, stage)
        newest = {name: x for name, x in progress.metrics.items() if math.isfinite(x)}
        run.report(
            progress.fraction * LEARNING_SHARE,
            stage,
            eta_seconds=progress.eta_seconds,
            metrics={**newest, "course": course.as_json()},
        )

    return report


def examined(run: JobRun, learned: Learned, snapshot: Snapshot, settled: Settled) -> Trained:
    """The weights in the store, and the gate's verdict against the live version."""
    model = learned.model
    run.report(LEARNING_SHARE, JobStage.SAVE)
    folder = run.workdir / "model"
    model.save(folder)
    keep_references(run, model.predictor(), snapshot, folder / NOVELTY)
    for file in (path for path in folder.iterdir() if path.name in (WEIGHTS, CARD, NOVELTY)):
        run.store.put_file(f"{run.blob_prefix}/{file.name}", file)
    doubts.keep(run.store, run.blob_prefix, _doubts(learned))
    run.report(LEARNING_SHARE, JobStage.COMPARE)
    candidate = Scored(None, learned.label_ids, _scores(run, model.predictor(), snapshot))
    card = model.card.to_json()
    return Trained(
        version_id=new_id(),
        label_ids=learned.label_ids,
        weights_prefix=run.blob_prefix,
        card=card,
        metrics=version_metrics(card["metrics"], candidate, snapshot),
        gate=_gate(run, candidate, snapshot, settled),
    )


def keep_references(run: JobRun, predictor: Predictor, snapshot: Snapshot, path: Path) -> None:
    """What the version sees on labelled photos: what it is told later is new is unlike these."""
    labeled = [row.sha256 for row in snapshot.rows if row.is_labeled]
    rows = draw_references(len(labeled), predictor.card.config["seed"])
    if len(rows) > 1:
        looker = _looker(run, predictor)
        seen = looker.look(
            [labeled[row] for row in rows], before_batch=lambda _: run.ensure_not_stopped()
        )
        Novelty.fit(seen.embedding).save(path)


def _doubts(learned: Learned) -> list[Doubt]:
    keys = [label.key for label in learned.model.card.labels]
    label_ids = dict(zip(keys, learned.label_ids, strict=True))
    return [
        Doubt(
            image_id=UUID(one.photo),
            label_id=label_ids[one.label],
            value=LabelValue.PRESENT if one.value == snapshots.PRESENT else LabelValue.ABSENT,
            probability=one.probability,
        )
        for one in learned.model.doubtful
    ]


def _gate(run: JobRun, candidate: Scored, snapshot: Snapshot, settled: Settled) -> dict[str, Any]:
    live = settled.live
    if live is None:
        return gate.first_version()
    try:
        models = shared_models(run.settings.data_dir)
        predictor = models.predictor(run.store, live)
    except Conflict as error:
        run.log(error.detail, "warning")
        reason = f"Version {live.number} cannot be loaded any more, so nothing was compared."
        return gate.not_compared(reason, against=live.number)
    label_ids = [UUID(label_id) for label_id in live.label_ids]
    beside = Scored(live.number, label_ids, _scores(run, predictor, snapshot))
    return compare(candidate, beside, snapshot, guarded=settled.guarded, margin=settled.margin)


def _scores(run: JobRun, predictor: Predictor, snapshot: Snapshot) -> Scores:
    """Probabilities (N, K) of the evaluation images."""
    contents, _ = evaluation_set(snapshot)
    if not contents:
        return np.zeros((0, len(predictor.card.labels)))
    looker = _looker(run, predictor)
    return looker.look(contents, before_batch=lambda _: run.ensure_not_stopped()).probabilities


def _looker(run: JobRun, predictor: Predictor) -> Looker:
    return Looker(predictor, _photos(run, predictor.card.grid), shared_tokens(run.settings))

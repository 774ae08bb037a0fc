"""A light student of a trained model: it learns the teacher's answers on photos without labels.

Knowledge distillation (Hinton et al., 2015) with the loss and the steps of any training. The
teacher may be a large CLIP, or the same network on finer photos and more views; the student is
kizu-small, or another small backbone, on as few pixels as it needs.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from worker.learning.aligner import Aligner, Classifier, text_features
from worker.learning.augment import View
from worker.learning.backbone import Backbone
from worker.learning.card import ModelCard, metrics_json, plain
from worker.learning.dataset import Split, TrainingSet
from worker.learning.draws import derive, drawn
from worker.learning.evidence import Evidence, judge
from worker.learning.inputs import PhotoInputs, decode_photos, photos_file
from worker.learning.learner import Answers, Learner, Look, Targets, look, trainable
from worker.learning.plan import Mode, Plan, TrainingConfig, resolve
from worker.learning.predictor import Predictor, TrainedModel
from worker.learning.progress import Meter, OnProgress, ShouldStop, Stage, Stopped
from worker.learning.tiling import WHOLE

TEACHER_BATCH = 64
CHECKPOINT_SECONDS = 60.0
FEWEST_STEPS, MOST_STEPS, USUAL_EPOCHS = 600, 3000, 40


def distil(
    teacher: Predictor,
    dataset: TrainingSet,
    backbone: Backbone,
    config: TrainingConfig | None = None,
    *,
    workdir: Path,
    on_progress: OnProgress = lambda _: None,
    should_stop: ShouldStop = lambda: False,
) -> TrainedModel:
    """A student on `backbone` that answers as `teacher` does.

    Learns from all photos of `dataset` except those of validation, whose labels calibrate the
    student and measure it; without any, the student keeps the teacher's calibration and
    thresholds, and its card says that it was not measured. Of `config`, resolution, tiles (none
    unless asked for), precision, epochs, batches and learning rates count. `workdir` keeps photos,
    answers and checkpoints: called again with the same arguments after a stop, it goes on where it
    was. Raises `ValueError` without photos, `Stopped` after `should_stop`.
    """
    if dataset.photos is None or not len(_taught(dataset)):
        raise ValueError("distillation needs photos to learn from")
    workdir.mkdir(parents=True, exist_ok=True)
    config = config or TrainingConfig()
    augmentation = dataclasses.replace(config.augmentation, orientations=teacher.card.orientations)
    config = dataclasses.replace(
        config,
        mode=Mode.TUNE,
        views=1,
        tiles=config.tiles or WHOLE,  # light, unless it was asked for
        augmentation=augmentation,
    )
    config = resolve(config, backbone, dataset)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    meter = Meter(on_progress, should_stop)
    return _Distillation(teacher, dataset, backbone, config, workdir, meter).run()


def _taught(dataset: TrainingSet) -> NDArray[np.int64]:
    """The photos that the student learns from."""
    return np.flatnonzero([split is not Split.VALIDATION for split in dataset.split])


class _Distillation:
    def __init__(
        self,
        teacher: Predictor,
        dataset: TrainingSet,
        backbone: Backbone,
        config: TrainingConfig,
        workdir: Path,
        meter: Meter,
    ) -> None:
        self.teacher, self.dataset, self.backbone = teacher, dataset, backbone
        self.workdir, self.meter = workdir, meter
        active = teacher.card.contexts.active
        config = dataclasses.replace(config, voices=tuple(teacher.card.voices))
        self.config = config if active else dataclasses.replace(config, lambda_context=0.0)
        self.rows = _taught(dataset)
        self.batch = config.batch_labeled + config.batch_unlabeled
        self.plan = Plan(0, _steps(config, len(self.rows), self.batch), 0, 0)
        self.fingerprint = self._fingerprint()

    def run(self) -> TrainedModel:
        self.meter.enter(Stage.PREPARE)
        self.inputs = self._inputs()
        targets = self._targets()
        learner = self._fit(targets)
        self.meter.enter(Stage.EVALUATE)
        classifier = learner.teacher
        assert isinstance(classifier, Classifier)
        model = TrainedModel(classifier.eval(), self._card(classifier))
        self.meter.report(1.0)
        return model

    def _inputs(self) -> PhotoInputs:
        photos = self.dataset.photos
        assert photos is not None
        pixels = decode_photos(
            photos,
            len(self.dataset.keys),
            self.config.grid.canvas,
            photos_file(self.workdir, self.config),
            on_photo=lambda _: self.meter.check(),
        )
        device = next(self.backbone.parameters()).device
        return PhotoInputs(pixels, self.config.augmentation, device)

    def _targets(self) -> Targets:
        """What the teacher says of each photo, (N, K) and (N, C), all of it as sure as it is.

        Scores before calibration: a calibration by steps would forget which photo comes first.
        """
        path = self.workdir / f"teacher-{self.fingerprint[:16]}.npz"
        if not path.exists():
            self._write_answers(path)
        stored = np.load(path)
        labels, contexts = (
            torch.from_numpy(expit(stored[name]).astype(np.float32))
            for name in ("logits", "contexts")
        )
        return Targets(labels, torch.ones_like(labels), contexts, torch.ones_like(contexts))

    def _write_answers(self, path: Path) -> None:
        photos, count = self.dataset.photos, len(self.dataset.keys)
        assert photos is not None
        seen: list[Look] = []
        for start in range(0, count, TEACHER_BATCH):
            self.meter.check()
            some = range(start, min(start + TEACHER_BATCH, count))
            seen.append(self.teacher.look(photos(index) for index in some))
        part = path.with_suffix(".part.npz")
        np.savez(
            part,
            logits=np.concatenate([one.logits for one in seen]),
            contexts=np.concatenate([one.context_logits for one in seen]),
        )
        part.replace(path)

    def _new_learner(self) -> Learner:
        torch.manual_seed(derive(self.config.seed, "initial weights"))
        card = self.teacher.card
        head = Aligner(text_features(card.labels, self.backbone), card.contexts.count)
        classifier = trainable(self.backbone, head, self.config)
        head.count(card.voices)
        # A teacher's scores are plain odds; what a miss costs comes back with the thresholds.
        costs = torch.ones(len(card.labels))
        return Learner(classifier, self.config, self.plan, costs)

    def _fit(self, targets: Targets) -> Learner:
        learner, path = self._new_learner(), self.workdir / "student.safetensors"
        unused = Answers.human(self.dataset.labels)
        learner.load(path, self.fingerprint)
        self.meter.enter(Stage.WARM_UP)
        self.meter.expect(float(self.plan.steps))
        self.meter.skip(float(learner.step))
        saved_at = time.monotonic()
        while learner.step < self.plan.steps:
            asked = self.meter.stop_asked()
            if asked or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                learner.save(path, unused, self.fingerprint)
                saved_at = time.monotonic()
            if asked:
                raise Stopped
            self.meter.metrics["loss"] = self._step(learner, targets)
            self.meter.advance(1.0)
        return learner

    def _step(self, learner: Learner, targets: Targets) -> float:
        """One step; all its draws follow from the seed and the step."""
        seed = derive(self.config.seed, "distil", learner.step)
        torch.manual_seed(seed)
        start = learner.step * self.batch
        rows = drawn(self.rows, start, self.batch, seed=derive(self.config.seed, "photos"))
        view = self.inputs.batch(rows, View.WEAK, torch.Generator().manual_seed(seed))
        return learner.train_step(view, targets.at(rows), self.batch)

    def _card(self, classifier: Classifier) -> ModelCard:
        """The teacher's card with what is the student's own."""
        card, resolution = self.teacher.card, self.config.resolution
        assert resolution is not None
        origin = {
            name: getattr(card, name) for name in ("backbone", "resolution", "tiles", "views")
        }
        plan = dataclasses.asdict(self.plan)
        student = dataclasses.replace(
            card,
            backbone=self.backbone.name,
            backbone_version=self.backbone.version,
            mode=Mode.TUNE,
            adapters=self.config.adapters,
            resolution=resolution,
            views=1,
            precision=self.config.precision,
            promises={},
            group_weight=0.0,  # what the groups say is in the answers that it learns
            counts={"taught": len(self.rows)},
            grown=(),
            config=plain(
                {**dataclasses.asdict(self.config), "plan": plan, "distilled_from": origin}
            ),
            code_version=importlib.metadata.version("kizu"),
            tiles=(self.config.grid.rows, self.config.grid.columns),
        )
        return dataclasses.replace(student, **self._judged(classifier, student))

    def _judged(self, classifier: Classifier, card: ModelCard) -> dict[str, Any]:
        """What validation labels say of the student, by name of the card's field."""
        keys = [label.key for label in card.labels]
        rows = self.dataset.rows(Split.VALIDATION)
        if not len(rows):
            return {"metrics": metrics_json(None, keys, "not measured", [False] * len(keys))}
        seen = look(classifier, self.inputs, rows, views=1, orientations=card.orientations)
        judgement = judge(
            Evidence(seen.logits, self.dataset.labels[rows]),
            None,
            keys,
            cross_fitted=False,
            miss_costs=[label.miss_cost for label in card.labels],
        )
        return {name: getattr(judgement, name) for name in ("calibration", "thresholds", "metrics")}

    def _fingerprint(self) -> str:
        card = self.teacher.card.to_json()
        what = [
            self.dataset.fingerprint(),
            {name: card[name] for name in ("labels", "backbone", "calibration", "config")},
            dataclasses.asdict(self.config),
            [self.backbone.name, self.backbone.version],
        ]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _steps(config: TrainingConfig, photos: int, batch: int) -> int:
    a_pass = math.ceil(photos / batch)
    if config.epochs is not None:
        return config.epochs * a_pass
    return min(max(USUAL_EPOCHS * a_pass, FEWEST_STEPS), MOST_STEPS)

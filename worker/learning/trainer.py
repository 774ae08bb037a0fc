"""The training loop: labels first, then pseudo-labels too, in one run that can stop and go on.

Every random draw depends on the seed and the step alone, so a run continued from a checkpoint
ends with the weights of an uninterrupted one. Mathematics live in the neighbouring modules.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from worker.learning.aligner import Aligner, Classifier, Head, LabelSpec, text_features, weigh
from worker.learning.augment import View
from worker.learning.backbone import Backbone
from worker.learning.card import ModelCard, plain
from worker.learning.committee import Committee, Votes, settled, trials
from worker.learning.dataset import Split, TrainingSet
from worker.learning.draws import derive, drawn, shuffled
from worker.learning.evidence import Evidence, Judgement, joined, judge, set_apart
from worker.learning.group_evidence import GroupEvidence
from worker.learning.inputs import Inputs, TokenInputs, appended, prepare_inputs
from worker.learning.learner import (
    LOOK_BATCH,
    TOKEN_BATCH,
    Answers,
    Learner,
    Look,
    Targets,
    look,
    shared_look,
    spread,
    trainable,
)
from worker.learning.method import KIZU, Method
from worker.learning.metrics import mean_average_precision
from worker.learning.part_models import PartModels
from worker.learning.plan import (
    Cost,
    Mode,
    Plan,
    TrainingConfig,
    fit_plan,
    kept_plan,
    make_plan,
    plan_seconds,
    resolve,
    seconds_of_pseudo_labels,
)
from worker.learning.predictor import TrainedModel
from worker.learning.processes import Processes
from worker.learning.progress import Meter, OnProgress, ShouldStop, Stage, Stopped
from worker.learning.pseudo_labeling import Round
from worker.learning.voices import on_card, voice_weights

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]

CHECKPOINT_SECONDS = 60.0
# With fewer validation photos, confidence is measured by cross-fitting the training photos.
ENOUGH_VALIDATION = 50


def train(
    dataset: TrainingSet,
    labels: Sequence[LabelSpec],
    backbone: Backbone,
    config: TrainingConfig | None = None,
    *,
    workdir: Path,
    method: Method = KIZU,
    on_progress: OnProgress = lambda _: None,
    should_stop: ShouldStop = lambda: False,
) -> TrainedModel:
    """Train on `dataset`, whose label columns are `labels`; the columns of the result as well.

    `backbone` is trained too in tune mode. `method` is Kizu's own, or a rival to compare with;
    only Kizu's can be saved and loaded. `workdir` keeps caches and checkpoints: called again
    with the same arguments after a stop or a crash, training goes on where it was. Where several
    processes have `joined`, all must call this alike; they train one model. Raises
    `NotEnoughLabels` if no photo of the train split has a label, `Stopped` after `should_stop`.
    """
    dataset.ensure_learnable(len(labels))
    workdir.mkdir(parents=True, exist_ok=True)
    config = method.configured(resolve(config or TrainingConfig(), backbone, dataset))
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    processes = Processes.here()
    processes.ensure_enough_for(config.batch_labeled, config.batch_unlabeled)
    if not processes.is_first:  # the first one speaks for all
        on_progress, should_stop = (lambda _: None), (lambda: False)
    meter = Meter(on_progress, should_stop)
    training = Training(
        dataset, labels, backbone, config, workdir=workdir, method=method, meter=meter
    )
    return training.run()


class Training:
    """One training from data to model: prepare, measure confidence, fit, evaluate."""

    def __init__(
        self,
        dataset: TrainingSet,
        labels: Sequence[LabelSpec],
        backbone: Backbone,
        config: TrainingConfig,
        *,
        workdir: Path,
        method: Method,
        meter: Meter,
    ) -> None:
        self.dataset, self.specs, self.config = dataset, tuple(labels), config
        self.workdir, self.method, self.meter = workdir, method, meter
        self.backbone = backbone.eval()
        self.device = next(backbone.parameters()).device
        self.processes = Processes.here()
        self.tune = config.mode is Mode.TUNE
        assert config.views is not None
        self.views = config.views
        self.labeled = dataset.rows(Split.TRAIN)
        self.validation, self.promising = set_apart(
            dataset.rows(Split.VALIDATION), derive(config.seed, "promises")
        )
        self.unlabeled = dataset.rows(Split.UNLABELED)
        self.can_cross_fit = method.measures_confidence and len(self.labeled) >= 4
        self.cross_fitted = self.can_cross_fit and len(self.validation) < ENOUGH_VALIDATION
        keys = [label.key for label in self.specs]
        self.contexts = method.groups(dataset.labels[self.labeled], keys, config)
        if not self.contexts.active:
            self.config = dataclasses.replace(self.config, lambda_context=0.0)
        self.membership = self.contexts.membership()
        self.text = text_features(self.specs, backbone)
        self.fingerprint = self._fingerprint()

    def run(self) -> TrainedModel:
        self.meter.enter(Stage.PREPARE)
        self.inputs = self.processes.after_first(self._prepare_inputs)
        self.cost = self._measure_cost()
        self.plan = self._plan()
        self.meter.expect(plan_seconds(self.plan, self.cost, self.config))
        self._vote_by(Committee.nobody())
        if self.plan.committees:
            teaches = self.method.rule is not None
            committee, self.config = self._part_models().convene(self.config, teaches=teaches)
            self._vote_by(committee)
        self.config = settled(self.config)
        if self.config.pseudo_labels is False:
            self.meter.skip(seconds_of_pseudo_labels(self.plan, self.cost, self.config))
        learner = self._fit("main", self.labeled, self.plan, self.config)
        self.meter.enter(Stage.EVALUATE)
        model = self._finish(learner)
        self.meter.report(1.0)
        return model

    # --- preparation ---------------------------------------------------------------------

    def _prepare_inputs(self) -> Inputs:
        return prepare_inputs(
            self.dataset,
            self.config,
            self._new_classifier(self.config).encode,
            self.workdir,
            device=self.device,
            backbone_version=self.backbone.version,
            on_photo=self.meter.tick,
        )

    def _new_classifier(self, config: TrainingConfig) -> Classifier:
        labels = self.dataset.labels[self.labeled]
        head = self.method.head(self.text, self.contexts.count, labels)
        return trainable(self.backbone, head, config)

    def _new_learner(self, plan: Plan, config: TrainingConfig) -> Learner:
        """A learner from the start: the same weights every time."""
        torch.manual_seed(derive(self.config.seed, "initial weights"))
        classifier = self._new_classifier(config)
        costs = torch.tensor([label.miss_cost for label in self.specs], dtype=torch.float32)
        model: nn.Module = classifier if self.tune else classifier.head
        return Learner(model, config, plan, costs)

    def _measure_cost(self) -> Cost:
        """Seconds of a photo in a training step and in a look, on a learner that is thrown away."""
        learner, size = self._new_learner(Plan(0, 10, 0, 0), self.config), self.config.batch_labeled
        targets = Answers.human(self.dataset.labels).targets(self.membership)
        rows = drawn(self.labeled, 0, size, seed=0)
        return Cost.measured(
            lambda: self._step("cost", learner, self.labeled, self.labeled[:0], targets),
            lambda: self._look(learner.teacher, rows, views=1),
            photos=size,
        )

    def _plan(self) -> Plan:
        """The plan, kept in the work folder: a resumed run must not plan anew."""
        config = self.config

        def make() -> Plan:
            plan = make_plan(
                config,
                labeled=len(self.labeled),
                unlabeled=len(self.unlabeled),
                committees=1 + len(trials(config)) if self.can_cross_fit else 0,
            )
            return fit_plan(plan, self.cost, config, needed=int(self.cross_fitted))

        path = self.workdir / "plan.json"
        return self.processes.after_first(lambda: kept_plan(path, self.fingerprint, make))

    def _fingerprint(self) -> str:
        what = [
            self.dataset.fingerprint(),
            [dataclasses.asdict(label) for label in self.specs],
            dataclasses.asdict(self.config),
            [self.backbone.name, self.backbone.version, self.method.name],
        ]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    # --- the loop ------------------------------------------------------------------------

    def _fit(self, name: str, labeled: Rows, plan: Plan, config: TrainingConfig) -> Learner:
        """Train one model on the photos at `labeled`: warm-up, then rounds of pseudo-labels."""
        learner = self._new_learner(plan, config)
        path = self.workdir / f"{name}.safetensors"
        answers = learner.load(path, self.fingerprint) or Answers.human(self.dataset.labels)
        self.meter.skip(learner.step * self.config.batch_labeled * self.cost.train)
        targets = answers.targets(self.membership)
        self._weigh(learner)
        unlabeled, saved_at = self.unlabeled[:0], time.monotonic()
        while learner.step < plan.steps:
            self._enter_stage(name, learner, plan)
            if self.processes.any(self.meter.stop_asked()):
                learner.save(path, answers, self.fingerprint)
                raise Stopped
            if learner.step >= plan.warm_up_steps:
                number, step = divmod(learner.step - plan.warm_up_steps, plan.round_steps)
                unlabeled = self._round_rows(number, plan, config)
                if step == 0 and len(unlabeled):
                    learner.save(path, answers, self.fingerprint)
                    answers = self._label(learner, unlabeled)
                    targets = answers.targets(self.membership)
            self.meter.metrics["loss"] = self._step(name, learner, labeled, unlabeled, targets)
            if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                learner.save(path, answers, self.fingerprint)
                saved_at = time.monotonic()
        learner.save(path, answers, self.fingerprint)
        return learner

    def _enter_stage(self, name: str, learner: Learner, plan: Plan) -> None:
        if name != "main":
            stage = Stage.CROSS_FIT
        else:
            warm = learner.step < plan.warm_up_steps
            stage = Stage.WARM_UP if warm else Stage.PSEUDO_LABELS
        if stage is not self.meter.stage:
            self.meter.enter(stage)

    def _step(
        self, name: str, learner: Learner, labeled: Rows, unlabeled: Rows, targets: Targets
    ) -> float:
        """One optimizer step; all its draws follow from the seed, the run and the step."""
        config = self.config
        seed = derive(config.seed, name, learner.step)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        rows = self._draw(name, "labeled", labeled, learner.step, config.batch_labeled)
        batch = self.inputs.batch(rows, View.WEAK, generator)
        if len(unlabeled):
            more = self._draw(name, "unlabeled", unlabeled, learner.step, config.batch_unlabeled)
            batch = appended(batch, self.inputs.batch(more, View.STRONG, generator))
            rows = np.concatenate([rows, more])
        loss = learner.train_step(batch, targets.at(rows), config.batch_labeled)
        if name != "cost":
            self.meter.advance(len(rows) * self.cost.train)
        return loss

    def _draw(self, name: str, part: str, rows: Rows, step: int, count: int) -> Rows:
        return drawn(rows, step * count, count, seed=derive(self.config.seed, name, part))

    # --- pseudo-labels -------------------------------------------------------------------

    def _round_rows(self, number: int, plan: Plan, config: TrainingConfig) -> Rows:
        """The unlabelled photos of one round: all of them, or a fresh draw from a large pool."""
        if self.method.rule is None or config.pseudo_labels is False:
            return self.unlabeled[:0]
        most = plan.round_steps * self.config.batch_unlabeled
        return shuffled(self.unlabeled, derive(self.config.seed, "round", number))[:most]

    def _label(self, learner: Learner, unlabeled: Rows) -> Answers:
        """Pseudo-labels of a round, made by the method's rule, beside what people said."""
        human = self.dataset.labels
        partial = self.labeled[(human[self.labeled] < 0).any(axis=1)]
        rows = np.concatenate([unlabeled, partial])
        self._weigh(learner)
        self._note_validation(learner)
        views = self.config.teacher_views
        held_out = functools.cache(lambda: self._evidence(learner, views))
        groups = GroupEvidence.fit(self.contexts, held_out() if self.contexts.active else None)
        seen = self._look(learner.teacher, rows, views=views)
        known = Round(
            logits=groups(seen.logits),
            labels=human[self.labeled],
            config=self.config,
            labeled=lambda: self._scored(learner, self.labeled, views),
            committee=lambda: groups(self.votes(rows)),
            held_out=lambda: groups.on(held_out()),
            spread=lambda: spread(learner.teacher, self.inputs, rows, seed=learner.step),
        )
        assert self.method.rule is not None
        return Answers.human(human).with_pseudo(rows, self.method.rule(known))

    def _note_validation(self, learner: Learner) -> None:
        if len(self.validation):
            seen = self._scored(learner, self.validation, self.config.teacher_views)
            self.meter.metrics["validation_map"] = mean_average_precision(seen.logits, seen.labels)

    def _weigh(self, learner: Learner) -> None:
        """Voices count as much as held-out labels say: those of part models, else of validation."""
        weights = self.committee.weights
        if weights is None and len(self.validation):
            weights = voice_weights(self._scored(learner, self.validation, self.views))
        if weights is not None:
            weigh(learner.teacher, weights)

    # --- confidence, measured on labels that the model did not see --------------------------

    def _part_models(self) -> PartModels:
        return PartModels(
            self.labeled,
            self.plan,
            self.views,
            self.workdir,
            self.processes,
            fit=self._fit,
            scored=self._scored,
            vote_by=self._vote_by,
        )

    def _vote_by(self, committee: Committee) -> None:
        self.committee = committee
        self.votes = Votes(committee.members, self._teacher_logits, self.dataset.labels.shape)

    def _evidence(self, learner: Learner, views: int) -> Evidence | None:
        """Held-out scores of a model now; None where nothing could be held out."""
        parts = [self.committee.evidence(views)] if self.cross_fitted else []
        if len(self.validation):
            parts.append(self._scored(learner, self.validation, views))
        return joined(parts) if parts else None

    def _teacher_logits(self, model: nn.Module, rows: Rows) -> Scores:
        return self._look(model, rows, views=self.config.teacher_views).logits

    def _scored(self, learner: Learner, rows: Rows, views: int) -> Evidence:
        seen = self._look(learner.teacher, rows, views=views)
        photos = tuple(self.dataset.keys[row] for row in rows)
        return Evidence(seen.logits, self.dataset.labels[rows], photos, seen.voices)

    def _look(self, model: nn.Module, rows: Rows, *, views: int) -> Look:
        most = TOKEN_BATCH if isinstance(self.inputs, TokenInputs) else LOOK_BATCH

        def seen(some: Rows) -> Look:
            return look(
                model,
                self.inputs,
                some,
                views=views,
                orientations=self.config.augmentation.orientations,
                batch=self.config.grid.photos_within(most),
                before_batch=self.meter.check,
            )

        return shared_look(self.processes, seen, rows)

    # --- the result ----------------------------------------------------------------------

    def _finish(self, learner: Learner) -> TrainedModel:
        """Measure, calibrate, choose thresholds, write the card."""
        self._weigh(learner)
        evidence = self._evidence(learner, self.views)
        groups = GroupEvidence.fit(self.contexts, evidence)
        judgement = judge(
            groups.on(evidence),
            groups.on(self._scored(learner, self.promising, self.views))
            if len(self.promising)
            else None,
            [label.key for label in self.specs],
            cross_fitted=self.cross_fitted,
            miss_costs=[label.miss_cost for label in self.specs],
        )
        model = learner.teacher
        classifier = model if isinstance(model, Classifier) else self._with_heads(model)
        if isinstance(classifier.head, Aligner):
            classifier.head.mix.copy_(torch.from_numpy(groups.mix))
        card = self._card(judgement, groups.weight)
        card = dataclasses.replace(card, **on_card(classifier.head, evidence))
        return TrainedModel(classifier.eval(), card, judgement.doubtful)

    def _with_heads(self, head: nn.Module) -> Classifier:
        classifier = self._new_classifier(self.config)
        assert isinstance(head, Head)
        classifier.head = head
        return classifier

    def _card(self, judgement: Judgement, group_weight: float) -> ModelCard:
        config = self.config
        assert config.resolution is not None
        return ModelCard(
            labels=self.specs,
            backbone=self.backbone.name,
            backbone_version=self.backbone.version,
            mode=config.mode,
            adapters=config.adapters,
            resolution=config.resolution,
            views=self.views if self.tune else 1,
            orientations=config.augmentation.orientations,
            precision=config.precision,
            contexts=self.contexts,
            group_weight=group_weight,
            calibration=judgement.calibration,
            thresholds=judgement.thresholds,
            metrics=judgement.metrics,
            promises=judgement.promises,
            counts=self.dataset.counts([label.key for label in self.specs]),
            config=plain(
                {
                    **dataclasses.asdict(config),
                    "plan": dataclasses.asdict(self.plan),
                    "processes": self.processes.count,
                }
            ),
            code_version=importlib.metadata.version("kizu"),
            tiles=(config.grid.rows, config.grid.columns),
        )

"""What a training is asked to do, and the plan made from it: how many steps of what.

`auto` values are resolved here and nowhere else.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import torch

from worker.learning.adapters import Adapters, is_adaptable, is_large
from worker.learning.aligner import Voice
from worker.learning.augment import Augmentation, Orientations, usual_orientations
from worker.learning.backbone import Backbone
from worker.learning.contexts import PriorGroups
from worker.learning.dataset import TrainingSet
from worker.learning.losses import Loss
from worker.learning.tiling import (
    WHOLE,
    Grid,
    Size,
    Tiles,
    usual_size,
    usual_tiles,
)


class Mode(StrEnum):
    AUTO = "auto"  # what the backbone recommends
    TUNE = "tune"  # the backbone is trained too
    FROZEN = "frozen"  # heads on cached tokens


class Tuned(StrEnum):
    """What is trained of a backbone in tune mode."""

    AUTO = "auto"  # all of a small image tower, adapters in a large one
    ALL = "all"
    LORA = "lora"


class Precision(StrEnum):
    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides a training, apart from its data."""

    mode: Mode = Mode.AUTO
    tuned: Tuned = Tuned.AUTO
    lora_rank: int = 8
    lora_alpha: float = 8.0
    gradient_checkpointing: bool = False  # in tune mode: less memory, a third more time
    seed: int = 0
    resolution: int | None = None  # pixels a side; None: the backbone's own
    tiles: Tiles | None = None  # rows and columns of a large photo; None: from the photos' size
    epochs: int | None = None  # passes over the labelled photos before pseudo-labels; None: auto
    rounds: int | None = None  # passes over the unlabelled photos, new pseudo-labels each
    time_budget_seconds: float | None = None  # plan fewer steps where they would not fit
    batch_labeled: int = 16
    batch_unlabeled: int = 32
    lr: float = 1e-3
    head_lr: float = 3e-3
    weight_decay: float = 0.05
    ema_decay: float = 0.99
    loss: Loss = Loss.BCE
    lambda_unlabeled: float = 1.0
    lambda_context: float = 0.5
    lambda_pairs: float | None = None  # photos side by side; None: tried (committee.py), or 0
    pseudo_labels: bool | None = None  # whether rounds learn them; None: tried, or so
    voices: tuple[Voice, ...] | None = None  # None: as many as the method hears
    n_contexts: int | None = None  # None: found from the labels
    context_prior: PriorGroups | None = None  # another project's groups, while labels are few
    folds: int = 2
    keep_positive: float = 1.0
    keep_negative: float = 0.9
    teacher_views: int = 2
    views: int | None = None  # orientations that the result averages over; None: auto
    strong_views: int = 4  # frozen: strongly changed views that are kept of each photo
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: Precision = Precision.AUTO
    threads: int | None = None

    @property
    def grid(self) -> Grid:
        """Of a resolved configuration."""
        assert self.tiles is not None
        assert self.resolution is not None
        return Grid(*self.tiles, self.resolution)

    @property
    def adapters(self) -> Adapters | None:
        """What a resolved configuration trains of the backbone; None: all of it, or nothing."""
        adapting = self.mode is Mode.TUNE and self.tuned is Tuned.LORA
        return Adapters(self.lora_rank, self.lora_alpha) if adapting else None


@dataclass(frozen=True)
class Plan:
    """Optimizer steps of each stage; `rounds` are of `round_steps` each.

    Part models train for `fold_steps`, one for each fold, and that for each of the `committees`.
    """

    fold_steps: int
    warm_up_steps: int
    rounds: int
    round_steps: int
    committees: int = 0

    @property
    def steps(self) -> int:
        return self.warm_up_steps + self.rounds * self.round_steps

    @property
    def of_part(self) -> "Plan":
        """What a part model does."""
        return replace(self, warm_up_steps=self.fold_steps, rounds=0, round_steps=0)

    @property
    def of_part_with_rounds(self) -> "Plan":
        """The same, and then the fewest rounds: a third of 400 steps, or of as many whole rounds
        if that is more."""
        rounds = min(self.rounds, max(round(MOST_ROUND_STEPS / self.round_steps), FEWEST_ROUNDS))
        round_steps = math.ceil(rounds * self.round_steps / 3 / FEWEST_ROUNDS)
        return replace(self.of_part, rounds=FEWEST_ROUNDS, round_steps=round_steps)

    @property
    def tries_rounds(self) -> bool:
        return self.committees > 1 and self.rounds > 0


@dataclass(frozen=True)
class Cost:
    """Seconds a photo costs in a training step, and when only looked at."""

    train: float
    look: float

    @classmethod
    def measured(
        cls, train: Callable[[], object], look: Callable[[], object], *, photos: int
    ) -> "Cost":
        """Of calls that train on, and look at, so many photos."""
        return cls(_fewest_seconds(train) / photos, _fewest_seconds(look) / photos)


def _fewest_seconds(call: Callable[[], object]) -> float:
    """Of three calls after one that only warms up. What else runs at the moment passes, but a plan
    made from a slow call gives up steps for the whole training."""
    took = []
    for _ in range(4):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return min(took[1:])


FEWEST_STEPS, MOST_STEPS = 600, 2500
USUAL_EPOCHS = 60
MOST_FOLD_STEPS = 600  # more settle nothing else (research/LOG.md), and every trial takes them
MOST_ROUND_STEPS = 400
FEWEST_ROUNDS, MOST_ROUNDS = 3, 10
LEAST_SHARE = 0.7  # of the steps; rather than that, nothing is tried and nobody votes
HURRY_SECONDS = 600  # with less time, steps are worth more than pixels
STEP = 16  # pixels between resolutions, so that tokens fit whole


def make_plan(config: TrainingConfig, *, labeled: int, unlabeled: int, committees: int) -> Plan:
    """The plan of a training without a time budget.

    Few labelled photos are seen more often, many less often, so that the number of steps stays
    between 600 and 2,500 unless `epochs` says otherwise.
    """
    a_pass = math.ceil(labeled / config.batch_labeled)
    usual = min(max(USUAL_EPOCHS * a_pass, FEWEST_STEPS), MOST_STEPS)
    warm_up = usual if config.epochs is None else config.epochs * a_pass
    round_steps = min(math.ceil(unlabeled / config.batch_unlabeled), MOST_ROUND_STEPS)
    return Plan(
        fold_steps=min(math.ceil(warm_up / 3), MOST_FOLD_STEPS) if committees else 0,
        warm_up_steps=warm_up,
        rounds=_rounds(config, warm_up, round_steps) if unlabeled else 0,
        round_steps=round_steps,
        committees=committees,
    )


def _rounds(config: TrainingConfig, warm_up: int, round_steps: int) -> int:
    """Beyond the fewest, no more steps with pseudo-labels than before them: what few labels
    taught is soon learned by heart, mistakes too (research/LOG.md, 28 November)."""
    if config.rounds is not None:
        return config.rounds
    return min(max(warm_up // round_steps, FEWEST_ROUNDS), MOST_ROUNDS)


def kept_plan(path: Path, fingerprint: str, make: Callable[[], Plan]) -> Plan:
    """The plan of this training in the file at `path`; made and written if there is none."""
    if path.exists():
        stored = json.loads(path.read_text())
        if stored.pop("fingerprint") == fingerprint:
            return Plan(**stored)
    plan = make()
    path.write_text(json.dumps({**asdict(plan), "fingerprint": fingerprint}))
    return plan


def plan_seconds(plan: Plan, cost: Cost, config: TrainingConfig) -> float:
    """What a plan will take, pseudo-labelling included."""
    folds = config.folds * plan.committees
    labeled_steps = plan.fold_steps * folds + plan.steps
    a_round = plan.round_steps * config.batch_unlabeled
    # The teacher looks in every round; part models, of one committee, look once.
    looks = a_round * (plan.rounds + (config.folds if folds else 0)) * config.teacher_views
    learned = labeled_steps * config.batch_labeled + plan.rounds * a_round
    seconds = learned * cost.train + looks * cost.look
    return seconds + (_seconds_of_trying_rounds(plan, cost, config) if plan.tries_rounds else 0.0)


def seconds_of_pseudo_labels(plan: Plan, cost: Cost, config: TrainingConfig) -> float:
    """What the rounds take longer than they would with human labels alone."""
    photos = plan.rounds * plan.round_steps * config.batch_unlabeled
    return photos * (cost.train + config.teacher_views * cost.look)


def _seconds_of_trying_rounds(plan: Plan, cost: Cost, config: TrainingConfig) -> float:
    """Of part models with and without pseudo-labels."""
    part = plan.of_part_with_rounds
    steps = part.rounds * part.round_steps
    learned = steps * (2 * config.batch_labeled + config.batch_unlabeled)
    looks = steps * config.batch_unlabeled * config.teacher_views
    return config.folds * (learned * cost.train + looks * cost.look)


def fit_plan(plan: Plan, cost: Cost, config: TrainingConfig, *, needed: int) -> Plan:
    """The plan within the configuration's time budget, if it has one.

    Where it would take longer, rounds are given up one by one, down to the fewest; then, if less
    than `LEAST_SHARE` of the steps fit, only the `needed` committees remain. What is left is
    shortened, every stage by the same share.
    """
    budget = config.time_budget_seconds
    if budget is None or plan_seconds(plan, cost, config) <= budget:
        return plan
    while plan.rounds > FEWEST_ROUNDS and plan_seconds(plan, cost, config) > budget:
        plan = replace(plan, rounds=plan.rounds - 1)
    if budget < LEAST_SHARE * plan_seconds(plan, cost, config):
        committees = min(needed, plan.committees)
        plan = replace(plan, committees=committees, fold_steps=plan.fold_steps if committees else 0)
    share = min(budget / plan_seconds(plan, cost, config), 1.0)

    def shorten(steps: int) -> int:
        return max(int(steps * share), min(steps, 10))

    return replace(
        plan,
        fold_steps=shorten(plan.fold_steps),
        warm_up_steps=shorten(plan.warm_up_steps),
        round_steps=shorten(plan.round_steps),
    )


def learning_rate_share(step: int, plan: Plan) -> float:
    """The learning rate of a step as a share of its peak.

    A cosine for the warm-up, so that the first pseudo-labels come from a settled teacher, and
    another for the rest.
    """
    if step < plan.warm_up_steps:
        return _cosine(step / plan.warm_up_steps)
    return _cosine((step - plan.warm_up_steps) / max(plan.rounds * plan.round_steps, 1))


def _cosine(done: float, rise: float = 0.1) -> float:
    if done < rise:
        return 0.02 + 0.98 * done / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """bfloat16 where the processor computes in it; elsewhere it would only be slower."""
    if precision is not Precision.AUTO:
        return precision
    if device.type == "cuda":
        return Precision.BF16 if torch.cuda.is_bf16_supported() else Precision.FP32
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return Precision.BF16 if supported() else Precision.FP32


def usual_voices(mode: Mode) -> tuple[Voice, ...]:
    """A decoder multiplies what a head costs, which only a backbone that is trained too hides."""
    return tuple(Voice) if mode is Mode.TUNE else (Voice.PLACES, Voice.WHOLE)


def resolve(config: TrainingConfig, backbone: Backbone, dataset: TrainingSet) -> TrainingConfig:
    """The configuration with every `auto` decided that needs no label."""
    device = next(backbone.parameters()).device
    augmentation = _resolve_augmentation(config.augmentation, dataset)
    size = usual_size(dataset.size_of, len(dataset.keys))
    hurried = (config.time_budget_seconds or math.inf) < HURRY_SECONDS
    decided = replace(
        config,
        mode=Mode(backbone.default_mode) if config.mode is Mode.AUTO else config.mode,
        tuned=_resolve_tuned(config.tuned, backbone),
        resolution=config.resolution or usual_resolution(backbone, None if hurried else size),
        precision=resolve_precision(config.precision, device),
        augmentation=augmentation,
        views=config.views or usual_views(backbone, augmentation.orientations),
    )
    return replace(decided, tiles=_resolve_tiles(decided, backbone, size))


def _resolve_tuned(tuned: Tuned, backbone: Backbone) -> Tuned:
    if tuned is not Tuned.AUTO:
        return tuned
    return Tuned.LORA if is_large(backbone) and is_adaptable(backbone) else Tuned.ALL


def _resolve_augmentation(augmentation: Augmentation, dataset: TrainingSet) -> Augmentation:
    if augmentation.orientations is not Orientations.AUTO:
        return augmentation
    height, width = dataset.size_of(0) or (1, 1)
    return replace(augmentation, orientations=usual_orientations(height, width))


def _resolve_tiles(config: TrainingConfig, backbone: Backbone, size: Size | None) -> Tiles:
    """`config` is decided but for its tiles. Raises `ValueError` for tiles that do not go with
    quarter turns."""
    assert config.resolution is not None
    turned = config.augmentation.orientations is Orientations.ANY
    tiles = config.tiles
    if tiles is None:
        # A backbone of any size takes a larger picture instead, which is as good and simpler.
        if size is None or backbone.any_size:
            return WHOLE
        return usual_tiles(size, config.resolution, square=turned)
    if turned and tiles[0] != tiles[1]:
        raise ValueError(f"{tiles[0]} x {tiles[1]} tiles cannot be turned: take as many of each")
    return tiles


def usual_views(backbone: Backbone, orientations: Orientations) -> int:
    """Every orientation where looking is cheap, two where it is not (measured in research/LOG)."""
    return orientations.variants if backbone.any_size else 2


def usual_resolution(backbone: Backbone, size: Size | None) -> int:
    """The backbone's own; where it takes any size, as fine as the photos are, within bounds.

    Defects are small: from 1.25 to 1.875 times the backbone's own each pixel pays
    (benchmarks/RESULTS.md), and what a pixel costs bounds it there.
    """
    own = backbone.image_size
    if not backbone.any_size:
        return own
    least, most = own * 5 // 4, own * 15 // 8
    fine = max(size) // STEP * STEP if size is not None else least
    return min(max(fine, least), most)

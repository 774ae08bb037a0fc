"""A student, its moving average the teacher, and their optimizer: one training step, one look.

The loop around it, pseudo-labels and files are elsewhere.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning import checkpoint, losses
from worker.learning.adapters import tunable
from worker.learning.aligner import Aligner, Alignment, Classifier, Head
from worker.learning.augment import Orientations, View, plain_views
from worker.learning.backbone import Backbone, ImageFeatures
from worker.learning.contexts import context_targets
from worker.learning.draws import chunks
from worker.learning.inputs import Inputs, taken
from worker.learning.pairs import paired_features, paired_targets, partners
from worker.learning.plan import Mode, Plan, Precision, TrainingConfig, learning_rate_share
from worker.learning.processes import Processes
from worker.learning.thresholds import PseudoLabels

Scores = NDArray[np.float64]
LOOK_BATCH = 64
TOKEN_BATCH = 16  # what a head writes for it stays in a processor's cache
DROPPED = 0.2


@dataclass(frozen=True)
class Targets:
    """What to learn of each photo: `labels` (N, K) and `contexts` (N, C) in 0..1, with weights.

    A weight of 0 means unknown; what people said weighs 1.
    """

    labels: Tensor
    weights: Tensor
    contexts: Tensor
    context_weights: Tensor

    def at(self, rows: NDArray[np.int64]) -> "Targets":
        index = torch.from_numpy(rows)
        return self._each(lambda values: values[index])

    def to(self, device: torch.device) -> "Targets":
        return self._each(lambda values: values.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Targets":
        return Targets(
            change(self.labels),
            change(self.weights),
            change(self.contexts),
            change(self.context_weights),
        )


@dataclass(frozen=True)
class Answers:
    """Answers of people and of the teacher: `values` (N, K) of 1, 0, -1 and `weights` (N, K)."""

    values: NDArray[np.int8]
    weights: Scores

    @classmethod
    def human(cls, labels: NDArray[np.int8]) -> "Answers":
        return cls(labels, (labels >= 0).astype(float))

    def with_pseudo(self, rows: NDArray[np.int64], pseudo: PseudoLabels) -> "Answers":
        """Pseudo-labels of the photos at `rows` where nobody has answered."""
        values, weights = self.values.copy(), self.weights.copy()
        unknown = values[rows] < 0
        values[rows] = np.where(unknown, pseudo.value, values[rows])
        weights[rows] = np.where(unknown, pseudo.confidence, weights[rows])
        return Answers(values, weights)

    def targets(self, membership: Scores) -> Targets:
        """What to learn, with groups (K, C).

        One present label makes its group active, whatever is known of the others, so the group is
        as sure as the surest of them; one that is not active is as sure as its labels on average.
        """
        contexts = context_targets(self.values, membership)
        present = np.where(self.values == 1, self.weights, 0.0)  # (N, K)
        surest = (present[:, :, None] * membership).max(axis=1)  # (N, C)
        average = self.weights @ membership / membership.sum(axis=0)
        sureness = np.where(contexts == 1, surest, average)
        return Targets(
            labels=torch.from_numpy((self.values == 1).astype(np.float32)),
            weights=torch.from_numpy((self.weights * (self.values >= 0)).astype(np.float32)),
            contexts=torch.from_numpy((contexts == 1).astype(np.float32)),
            context_weights=torch.from_numpy((sureness * (contexts >= 0)).astype(np.float32)),
        )


@dataclass(frozen=True)
class Look:
    """What a model sees: `logits` (N, K), `context_logits` (N, C), `embedding` (N, D), `voices`
    (N, K, V)."""

    logits: Scores
    context_logits: Scores
    embedding: NDArray[np.float32]
    voices: Scores


@torch.no_grad()
def look(
    model: nn.Module,
    inputs: Inputs,
    rows: NDArray[np.int64],
    *,
    views: int,
    orientations: Orientations,
    batch: int = LOOK_BATCH,
    before_batch: Callable[[], None] = lambda: None,
) -> Look:
    """Logits averaged over the first `views` orientations of the photos at `rows`."""
    model.eval()
    unused = torch.Generator()
    parts: list[Alignment] = []
    for chunk in chunks(rows, batch):
        before_batch()
        parts.append(see(model, inputs.batch(chunk, View.PLAIN, unused), views, orientations))
    if not parts:
        raise ValueError("no photo to look at")
    return joined_look(parts)


def joined_look(parts: Sequence[Alignment]) -> Look:
    """What was seen in several batches, one after the other."""
    return Look(
        logits=_stack([part.logits for part in parts]),
        context_logits=_stack([part.context_logits for part in parts]),
        embedding=_stack([part.pooled for part in parts]).astype(np.float32),
        voices=_stack([part.said for part in parts]),
    )


def shared_look(
    processes: Processes, seen: Callable[[NDArray[np.int64]], Look], rows: NDArray[np.int64]
) -> Look:
    """What `seen` gives for the photos at `rows`, each process looking at its share."""
    if len(rows) < processes.count:
        return processes.together(lambda: seen(rows))
    part = processes.together(lambda: seen(rows[processes.share(len(rows))]))
    return Look(
        logits=processes.whole(part.logits, len(rows)),
        context_logits=processes.whole(part.context_logits, len(rows)),
        embedding=processes.whole(part.embedding, len(rows)),
        voices=processes.whole(part.voices, len(rows)),
    )


@torch.no_grad()
def see(
    model: nn.Module, batch: Tensor | ImageFeatures, views: int, orientations: Orientations
) -> Alignment:
    """One batch, averaged over orientations where it is made of pixels."""
    if not isinstance(batch, Tensor):
        alignment: Alignment = model(batch)
        return alignment
    return averaged([model(view) for view in plain_views(batch, orientations, views)])


def averaged(seen: list[Alignment]) -> Alignment:
    """Mean logits of several views of the same photos; the features are those of the first."""

    def mean(parts: list[Tensor]) -> Tensor:
        return sum(parts[1:], parts[0]) / len(parts)

    return replace(
        seen[0],
        logits=mean([one.logits for one in seen]),
        context_logits=mean([one.context_logits for one in seen]),
        voices=mean([one.said for one in seen]),
    )


@torch.no_grad()
def spread(
    model: nn.Module, inputs: Inputs, rows: NDArray[np.int64], *, seed: int, passes: int = 10
) -> Scores:
    """Standard deviation (N, K) of a classifier's probabilities when a fifth of its features is
    dropped, in `passes` draws (MC dropout, Gal & Ghahramani 2016, in front of the head)."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for chunk in chunks(rows, LOOK_BATCH):
        batch = inputs.batch(chunk, View.PLAIN, generator)
        head, features = _parted(model, batch)
        drawn = [head(_dropped(features, generator)).logits.sigmoid() for _ in range(passes)]
        parts.append(torch.stack(drawn).std(dim=0))
    return _stack(parts)


def _parted(model: nn.Module, batch: Tensor | ImageFeatures) -> tuple[nn.Module, ImageFeatures]:
    """The head of a model, and what its backbone makes of a batch."""
    if isinstance(batch, ImageFeatures):
        return model, batch
    assert isinstance(model, Classifier)
    return model.head, model.encode(batch)


def _dropped(features: ImageFeatures, generator: torch.Generator) -> ImageFeatures:
    """One dropout mask over the channels of a photo, the same for its tokens and pooled feature."""
    pooled = features.pooled
    kept = torch.rand(pooled.shape, generator=generator).to(pooled.device) >= DROPPED
    mask = kept / (1 - DROPPED)  # (B, D)
    return ImageFeatures(features.tokens * mask[:, None], pooled * mask)


def _stack(parts: list[Tensor]) -> Scores:
    return torch.cat(parts).double().cpu().numpy()


def trainable(backbone: Backbone, head: Head, config: TrainingConfig) -> Classifier:
    """A classifier whose backbone stays as it is, or is a copy to be tuned as configured."""
    device = next(backbone.parameters()).device
    if config.voices:
        assert isinstance(head, Aligner)
        head.hear(config.voices)
    if config.mode is Mode.TUNE:
        backbone = tunable(
            backbone, config.adapters, gradient_checkpointing=config.gradient_checkpointing
        )
    classifier = Classifier(
        backbone, head, bf16=config.precision is Precision.BF16, grid=config.grid
    )
    return classifier.to(device).to(memory_format=torch.channels_last)


class Learner:
    """Trains `model` in place; `teacher` is the average that predicts."""

    def __init__(
        self, model: nn.Module, config: TrainingConfig, plan: Plan, miss_costs: Tensor
    ) -> None:
        self.student = model
        frozen = {id(p): p for p in model.parameters() if not p.requires_grad}
        self.teacher = copy.deepcopy(model, frozen).eval().requires_grad_(False)  # shares them
        names = {name for name, p in model.named_parameters() if not p.requires_grad}
        self._trained = [name for name in model.state_dict() if name not in names]
        self.device = next(model.parameters()).device
        self.config, self.plan, self.miss_costs = config, plan, miss_costs.to(self.device)
        self.processes = Processes.here()
        self.optimizer = _optimizer(model, config)
        self.step = 0

    def train_step(self, batch: Tensor | ImageFeatures, targets: Targets, n_labeled: int) -> float:
        """One step on a batch whose first `n_labeled` photos are labelled; returns the loss.

        Where several processes train, all get the same batch, and each computes on its share.
        """
        if self.processes.count > 1:
            mine = self.processes.share(len(targets.labels))
            batch, targets = taken(batch, mine), targets.at(mine)
            n_labeled = int((mine < n_labeled).sum())
        self.student.train()
        self._set_learning_rate()
        features, targets = self._encode(batch), targets.to(self.device)
        loss = self._loss(self.student(features), targets, n_labeled)
        if self.config.lambda_pairs:
            loss = loss + self.config.lambda_pairs * self._pair_loss(features, targets, n_labeled)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        loss = self.processes.average_gradients(self.student.parameters(), loss.detach())
        self.processes.copy_batch_statistics(self.student)
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimizer.step()
        self._average()
        self.step += 1
        return float(loss)

    def _loss(self, alignment: Alignment, targets: Targets, n_labeled: int) -> Tensor:
        """Label loss of every voice, and context loss, of single photos."""
        context = F.binary_cross_entropy_with_logits(
            alignment.context_logits, targets.contexts, reduction="none"
        )
        voices = [
            self._label_loss(said, targets.labels, targets.weights)
            for said in alignment.said.unbind(dim=-1)
        ]
        labels = torch.stack(voices).mean(dim=0)
        contexts = losses.of_photos(context, targets.context_weights)
        return self._mean(labels + self.config.lambda_context * contexts, n_labeled)

    def _pair_loss(self, features: ImageFeatures, targets: Targets, n_labeled: int) -> Tensor:
        """Label loss of photos side by side, for places: the mean of two photos is no area."""
        first, second, n_pairs = partners(n_labeled, len(targets.labels))
        alignment: Alignment = self.student(paired_features(features, first, second))
        labels, weights = paired_targets(targets.labels, targets.weights, first, second)
        return self._mean(self._label_loss(alignment.said[..., 0], labels, weights), n_pairs)

    def _label_loss(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Of each photo or pair: (B, K) three times to (B,).

        With the cost among the odds, what is learned stays the plain odds: labels of different
        costs then share one calibration.
        """
        cells = losses.elementwise(self.config.loss, logits + self.miss_costs.log(), labels)
        return losses.of_photos(cells, weights * losses.miss_weights(labels, self.miss_costs))

    def _mean(self, photos: Tensor, n_labeled: int) -> Tensor:
        """Mean loss of the labelled photos (B,) plus that of the rest, weighted."""
        labeled, rest = photos[:n_labeled], photos[n_labeled:]
        shares = [(labeled, 1.0), (rest, self.config.lambda_unlabeled)]
        return torch.stack([part.mean() * share for part, share in shares if len(part)]).sum()

    def _encode(self, batch: Tensor | ImageFeatures) -> ImageFeatures:
        """What the backbone makes of a batch, unless it is that already."""
        if isinstance(batch, ImageFeatures):
            return batch
        assert isinstance(self.student, Classifier)
        return self.student.encode(batch)

    def _set_learning_rate(self) -> None:
        share = learning_rate_share(self.step, self.plan)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * share

    @torch.no_grad()
    def _average(self) -> None:
        """The teacher follows the student; at first closely, so that it forgets the start."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        follow(self._state(self.teacher), self._state(self.student), 1 - decay)

    def save(self, path: Path, answers: Answers, fingerprint: str) -> None:
        """Everything that `load` needs to go on as if nothing had happened."""
        if not self.processes.is_first:
            return
        tensors = {
            **checkpoint.prefixed("student", self._state(self.student)),
            **checkpoint.prefixed("teacher", self._state(self.teacher)),
            **checkpoint.prefixed("optimizer", checkpoint.optimizer_tensors(self.optimizer)),
            "answers.values": torch.from_numpy(answers.values),
            "answers.weights": torch.from_numpy(answers.weights),
        }
        checkpoint.save(path, tensors, {"fingerprint": fingerprint, "step": self.step})

    def load(self, path: Path, fingerprint: str) -> Answers | None:
        """Go back to a checkpoint; None, and nothing happens, if there is none of this training."""
        if not path.exists():
            return None
        tensors, header = checkpoint.load(path)
        if header["fingerprint"] != fingerprint:
            return None
        for name, model in (("student", self.student), ("teacher", self.teacher)):
            model.load_state_dict({**model.state_dict(), **checkpoint.under(name, tensors)})
        checkpoint.restore_optimizer(self.optimizer, checkpoint.under("optimizer", tensors))
        self.step = header["step"]
        return Answers(tensors["answers.values"].numpy(), tensors["answers.weights"].numpy())

    def _state(self, model: nn.Module) -> dict[str, Tensor]:
        """Weights and buffers of the student or the teacher, without what stays frozen."""
        state = model.state_dict()
        return {name: state[name] for name in self._trained}


def follow(average: dict[str, Tensor], student: dict[str, Tensor], share: float) -> None:
    """Move a moving average towards the student, in place; what only counts is copied."""
    moving = [name for name, value in average.items() if value.is_floating_point()]
    torch._foreach_lerp_(
        [average[name] for name in moving], [student[name] for name in moving], share
    )
    for name in average.keys() - moving:
        average[name].copy_(student[name])


def _optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW; heads learn faster than the backbone, and only matrices of the backbone decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    for name, parameter in trained:
        in_backbone = name.startswith("backbone.")
        decay = config.weight_decay if in_backbone and parameter.ndim > 1 else 0.0
        lr = config.lr if in_backbone else config.head_lr
        groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": lr, "peak_lr": lr, "weight_decay": decay}
            for (lr, decay), parameters in groups.items()
        ]
    )

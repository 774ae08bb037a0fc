"""A student, its moving average the teacher, and their optimizer: one training step, one look.

The loop around it, pseudo-labels and files are elsewhere.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning import checkpoint, losses
from worker.learning.aligner import Alignment, Classifier
from worker.learning.augment import Orientations, View, plain_views
from worker.learning.backbone import ImageFeatures
from worker.learning.contexts import context_targets
from worker.learning.draws import chunks
from worker.learning.inputs import Inputs
from worker.learning.plan import Plan, TrainingConfig, learning_rate_share
from worker.learning.thresholds import PseudoLabels

Scores = NDArray[np.float64]
LOOK_BATCH = 64
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
        return Targets(
            self.labels[index],
            self.weights[index],
            self.contexts[index],
            self.context_weights[index],
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
        """What to learn, with groups (K, C): a group is as sure as its labels on average."""
        contexts = context_targets(self.values, membership)
        sureness = self.weights @ membership / membership.sum(axis=0)
        return Targets(
            labels=torch.from_numpy((self.values == 1).astype(np.float32)),
            weights=torch.from_numpy((self.weights * (self.values >= 0)).astype(np.float32)),
            contexts=torch.from_numpy((contexts == 1).astype(np.float32)),
            context_weights=torch.from_numpy((sureness * (contexts >= 0)).astype(np.float32)),
        )


@dataclass(frozen=True)
class Look:
    """What a model sees: `logits` (N, K), `context_logits` (N, C), `embedding` (N, D)."""

    logits: Scores
    context_logits: Scores
    embedding: NDArray[np.float32]


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
    return Look(
        logits=_stack([part.logits for part in parts]),
        context_logits=_stack([part.context_logits for part in parts]),
        embedding=_stack([part.pooled for part in parts]).astype(np.float32),
    )


@torch.no_grad()
def see(
    model: nn.Module, batch: Tensor | ImageFeatures, views: int, orientations: Orientations
) -> Alignment:
    """One batch, averaged over orientations where it is made of pixels."""
    if not isinstance(batch, Tensor):
        alignment: Alignment = model(batch)
        return alignment
    seen: list[Alignment] = [model(view) for view in plain_views(batch, orientations, views)]
    first, share = seen[0], 1 / len(seen)
    return replace(
        first,
        logits=sum((one.logits for one in seen[1:]), first.logits) * share,
        context_logits=sum((one.context_logits for one in seen[1:]), first.context_logits) * share,
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


class Learner:
    """Trains `model` in place; `teacher` is the average that predicts."""

    def __init__(
        self, model: nn.Module, config: TrainingConfig, plan: Plan, miss_costs: Tensor
    ) -> None:
        self.student = model
        self.teacher = copy.deepcopy(model).eval().requires_grad_(False)
        self.config, self.plan, self.miss_costs = config, plan, miss_costs
        self.optimizer = _optimizer(model, config)
        self.step = 0

    def train_step(self, batch: Tensor | ImageFeatures, targets: Targets, n_labeled: int) -> float:
        """One step on a batch whose first `n_labeled` photos are labelled; returns the loss."""
        self.student.train()
        self._set_learning_rate()
        alignment: Alignment = self.student(batch)
        loss = self._loss(alignment, targets, n_labeled)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimizer.step()
        self._average()
        self.step += 1
        return float(loss.detach())

    def _loss(self, alignment: Alignment, targets: Targets, n_labeled: int) -> Tensor:
        """Label and context loss of the labelled part, plus that of the rest, weighted."""
        config = self.config
        weights = targets.weights * losses.miss_weights(targets.labels, self.miss_costs)
        cells = losses.elementwise(config.loss, alignment.logits, targets.labels)
        context = F.binary_cross_entropy_with_logits(
            alignment.context_logits, targets.contexts, reduction="none"
        )

        def part(rows: slice) -> Tensor:
            return losses.reduce(cells[rows], weights[rows]) + config.lambda_context * (
                losses.reduce(context[rows], targets.context_weights[rows])
            )

        loss = part(slice(None, n_labeled))
        if n_labeled < len(cells):
            loss = loss + config.lambda_unlabeled * part(slice(n_labeled, None))
        return loss

    def _set_learning_rate(self) -> None:
        share = learning_rate_share(self.step, self.plan)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * share

    @torch.no_grad()
    def _average(self) -> None:
        """The teacher follows the student; at first closely, so that it forgets the start."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        student = self.student.state_dict()
        for name, average in self.teacher.state_dict().items():
            if average.is_floating_point():
                average.lerp_(student[name], 1 - decay)
            else:
                average.copy_(student[name])

    def save(self, path: Path, answers: Answers, fingerprint: str) -> None:
        """Everything that `load` needs to go on as if nothing had happened."""
        tensors = {
            **checkpoint.prefixed("student", self.student.state_dict()),
            **checkpoint.prefixed("teacher", self.teacher.state_dict()),
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
        self.student.load_state_dict(checkpoint.under("student", tensors))
        self.teacher.load_state_dict(checkpoint.under("teacher", tensors))
        checkpoint.restore_optimizer(self.optimizer, checkpoint.under("optimizer", tensors))
        self.step = header["step"]
        return Answers(tensors["answers.values"].numpy(), tensors["answers.weights"].numpy())


def _optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW; heads learn faster than the backbone, and only matrices of the backbone decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
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

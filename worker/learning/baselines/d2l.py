"""D2L with metric-adaptive thresholds (ECCV 2024): a whole-image and a patch branch.

Differences: one set of heads both makes and learns pseudo-labels (the paper has two), and the
local branch pools quarters of the token grid instead of encoding quarters of the photo.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning.aligner import PRIOR_LOGIT, Alignment, Head
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines.plain import plain, unweighted
from worker.learning.losses import Loss
from worker.learning.method import Method
from worker.learning.pseudo_labeling import Round
from worker.learning.thresholds import PseudoLabels, Thresholds

BETA = 0.5
GRID = np.arange(0.01, 1.0, 0.01)
CELLS = 2  # a side


class TwoBranchHead(Head):
    """Mean of a global logit and the softmax-weighted logits of four quarters of the photo."""

    def __init__(self, text: Tensor) -> None:
        super().__init__(text)
        n_labels, dim = text.shape
        self.correlative = nn.Linear(dim, n_labels)
        self.discriminative = nn.Linear(dim, n_labels)
        for linear in (self.correlative, self.discriminative):
            nn.init.constant_(linear.bias, PRIOR_LOGIT)

    def forward(self, features: ImageFeatures) -> Alignment:
        tokens, pooled = features.tokens.to(self.text), features.pooled.to(self.text)
        local = self.discriminative(quarters(tokens))  # (B, 4, K)
        local = (local.softmax(dim=1) * local).sum(dim=1)
        return plain((self.correlative(pooled) + local) / 2, F.normalize(pooled, dim=-1))


def quarters(tokens: Tensor) -> Tensor:
    """Mean token of each quarter: (B, L, D) of a square grid, row by row, to (B, 4, D)."""
    side = round(tokens.shape[1] ** 0.5)
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))  # (B, D, side, side)
    return F.adaptive_avg_pool2d(grid, CELLS).flatten(2).transpose(1, 2)


def metric_adaptive(known: Round) -> PseudoLabels:
    """For each label the threshold of the greatest F0.5 on the labelled photos."""
    seen = known.labeled()
    best = [
        best_threshold(probability, label, beta=BETA)
        for probability, label in zip(expit(seen.logits).T, seen.labels.T, strict=True)
    ]
    below = tuple(float(np.nextafter(threshold, 0)) for threshold in best)
    return unweighted(known.probabilities, Thresholds(tuple(best), below))


def best_threshold(
    probability: NDArray[np.float64], label: NDArray[np.int8], *, beta: float
) -> float:
    """The threshold of the greatest F-beta for one label, (N,) and (N,) of 1, 0, -1 unknown."""
    called = probability[label >= 0, None] >= GRID  # (N, T)
    real = (label[label >= 0] == 1)[:, None]
    hits = (called & real).sum(axis=0)
    # F-beta over counts; 1 below keeps a label that nobody used from dividing by zero.
    score = (1 + beta**2) * hits / (beta**2 * real.sum() + called.sum(axis=0)).clip(min=1)
    return float(GRID[score.argmax()])


def two_branch_head(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    return TwoBranchHead(text)


D2L = Method(
    name="d2l-mat",
    source="Xiao et al., ECCV 2024, arXiv 2407.18624",
    head=two_branch_head,
    rule=metric_adaptive,
    configure=lambda config: replace(config, loss=Loss.ASYMMETRIC),
)

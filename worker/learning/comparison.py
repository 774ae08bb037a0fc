"""Two models on the same images: by how much the average precision of each label differs.

The bootstrap is paired: both models are scored on the same drawn images, so that what is hard
for both cancels out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.learning.metrics import average_precision

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Difference:
    """New minus old of one label, with one-sided 95 % bounds; NaN where nothing can be ranked."""

    positives: int
    value: float
    low: float
    high: float


def ap_difference(
    new: Scores, old: Scores, labels: Labels, *, draws: int = 1000, seed: int = 0
) -> Difference:
    """The difference for one label: scores (N,) of both models against labels (N,)."""
    known = labels >= 0
    new, old, labels = new[known], old[known], labels[known]
    positives = int((labels == 1).sum())
    if positives == 0:
        return Difference(0, float("nan"), float("nan"), float("nan"))

    def difference(rows: NDArray[np.int64]) -> float:
        return average_precision(new[rows], labels[rows]) - average_precision(
            old[rows], labels[rows]
        )

    rows = np.random.default_rng(seed).integers(0, len(labels), (draws, len(labels)))
    drawn = np.array([difference(row) for row in rows])
    low, high = np.nanquantile(drawn, [0.05, 0.95])
    return Difference(positives, difference(np.arange(len(labels))), float(low), float(high))


def recalls(
    probabilities: Scores, labels: Labels, *, at: float = 0.5, fewest: int = 10
) -> list[float | None]:
    """Share of each label's positives found at a probability, (N, K) and (N, K) to K figures.

    None for a label with fewer positives than `fewest`.
    """
    found = []
    for probability, label in zip(probabilities.T, labels.T, strict=True):
        positive = label == 1
        share = float((probability[positive] >= at).mean()) if positive.sum() >= fewest else None
        found.append(share)
    return found

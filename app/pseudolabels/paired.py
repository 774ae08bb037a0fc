"""Average precision of versions on the same photos, and by how much it differs.

The bootstrap is paired and draws as the gate's does: every version is scored on the same drawn
photos, so that what is hard for all of them cancels out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]  # (N,), one for each photo
Present = NDArray[np.bool_]  # (N,)
Times = NDArray[np.int32]  # (D, N): how often each draw holds each photo

MOST_DRAWS, FEWEST_DRAWS = 1000, 200
MOST_CELLS = 500_000  # drawn photos that one label may take: a page waits for it
TWO_SIDED = (0.025, 0.975)
ONE_SIDED = (0.05, 0.95)  # of the gate


@dataclass(frozen=True)
class Estimate:
    """A figure with its bounds; None for both where nothing was drawn."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Precision:
    """Average precision on the photos as they are, and on each draw of them, (D,)."""

    value: float
    draws: Scores

    def estimate(self) -> Estimate:
        """With its 95 % interval."""
        return _bounded(self.value, self.draws, TWO_SIDED)

    def minus(self, other: "Precision") -> Estimate:
        """The difference, with one-sided 95 % bounds on either side. Both know the same draws."""
        return _bounded(self.value - other.value, self.draws - other.draws, ONE_SIDED)


def draw(photos: int, *, seed: int = 0) -> Times:
    """How often each of N photos is drawn in each of D draws, (D, N)."""
    draws = min(max(MOST_CELLS // max(photos, 1), FEWEST_DRAWS), MOST_DRAWS)
    rows = np.random.default_rng(seed).integers(0, photos, (draws, photos))
    places = rows + np.arange(draws)[:, None] * photos
    times = np.bincount(places.ravel(), minlength=draws * photos).astype(np.int32)
    return times.reshape(draws, photos)


def precision(scores: Scores, present: Present, drawn: Times) -> Precision:
    """Of scores (N,) against what people say, drawn (D, N); at least one photo shows the label."""
    as_they_are = np.ones((1, len(scores)), dtype=np.int32)
    value = _average_precisions(scores, present, as_they_are)[0]
    return Precision(float(value), _average_precisions(scores, present, drawn))


def _average_precisions(scores: Scores, present: Present, times: Times) -> Scores:
    """Area under precision over recall by steps, ties counted together; NaN for a draw without a
    positive."""
    order = np.argsort(-scores, kind="stable")
    places = np.flatnonzero(present[order])
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found_until = present[order].cumsum()[ends]
    # Precision counts only where recall grows: at the ends of ties that hold a positive.
    grows = np.diff(found_until, prepend=0) > 0
    times = times[:, order]
    called = times.cumsum(axis=1)[:, ends[grows]]
    found = times[:, places].cumsum(axis=1)[:, found_until[grows] - 1]
    with np.errstate(invalid="ignore"):
        recall_step = np.diff(found, prepend=0, axis=1) / found[:, -1:]
    return np.asarray((found / np.maximum(called, 1) * recall_step).sum(axis=1))


def _bounded(value: float, draws: Scores, quantiles: tuple[float, float]) -> Estimate:
    if np.isnan(draws).all():
        return Estimate(value)
    low, high = np.nanquantile(draws, quantiles)
    return Estimate(value, float(low), float(high))

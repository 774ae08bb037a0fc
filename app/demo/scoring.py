"""Scores against a pack's hidden truth, apart from the code they score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Truth = NDArray[np.bool_]
Scores = NDArray[np.float64]


def average_precision(truth: Truth, scores: Scores) -> float | None:
    """Area under the precision-recall steps; None without a positive. Ties share their rank's
    worst precision, so that a constant score gains nothing."""
    if not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = truth[order].cumsum()
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    recall = hits[last_of_tie] / truth.sum()
    precision = hits[last_of_tie] / (np.flatnonzero(last_of_tie) + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: mean confidence, observed share and count per confidence bin."""

    confidence: list[float]
    observed: list[float]
    count: list[int]
    expected_error: float


def reliability(truth: Truth, scores: Scores, bins: int = 10) -> Reliability:
    """Expected calibration error over equal-width bins (Naeini et al., AAAI 2015)."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    used = np.unique(place)
    confidence = [float(scores[place == b].mean()) for b in used]
    observed = [float(truth[place == b].mean()) for b in used]
    count = [int((place == b).sum()) for b in used]
    gaps = np.abs(np.array(confidence) - np.array(observed))
    return Reliability(confidence, observed, count, float(gaps @ np.array(count) / len(truth)))

"""Turning scores into probabilities that can be trusted, on labels held out from training.

Platt's two-parameter map, for each label where the evidence allows it and pooled over all labels
elsewhere; and the exact upper bound on an error rate. Nothing here trains a model.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]

# Fewer positives or negatives than this say nothing about one label's own calibration.
ENOUGH_EACH = 10
ENOUGH_IMAGES = 300


@dataclass(frozen=True)
class Platt:
    """p = sigmoid(slope * logit + intercept), one pair for each label (K,)."""

    slope: tuple[float, ...]
    intercept: tuple[float, ...]
    own: tuple[bool, ...]  # fitted on the label's own evidence, not pooled

    def __call__(self, logits: Scores) -> Scores:
        """Logits (..., K) to calibrated probabilities of the same shape."""
        return np.asarray(expit(logits * np.array(self.slope) + np.array(self.intercept)))

    @classmethod
    def identity(cls, n_labels: int) -> Self:
        """No evidence, no correction."""
        return cls((1.0,) * n_labels, (0.0,) * n_labels, (False,) * n_labels)


def fit_platt(logits: Scores, labels: Labels) -> Platt:
    """Calibrate on held-out `logits` (N, K) and `labels` (N, K) of 1, 0 and -1 unknown.

    A label gets a map of its own with at least 10 positives and 10 negatives among at least 300
    images, else the pooled one (Platt 1999; its smoothed targets keep the map finite).
    """
    pooled = _fit(logits[labels >= 0], labels[labels >= 0])
    maps, own = [], []
    for logit, label in zip(logits.T, labels.T, strict=True):
        known = label >= 0
        enough = known.sum() >= ENOUGH_IMAGES and has_evidence(label)
        maps.append(_fit(logit[known], label[known]) if enough else pooled)
        own.append(bool(enough))
    slope, intercept = zip(*maps, strict=True)
    return Platt(slope=slope, intercept=intercept, own=tuple(own))


def cross_calibrate(logits: Scores, labels: Labels) -> Scores:
    """Probabilities (N, K) whose calibration never saw their own half of the evidence."""
    odd = np.arange(len(logits)) % 2 == 1
    probabilities = np.empty_like(logits)
    for half in (odd, ~odd):
        probabilities[half] = fit_platt(logits[~half], labels[~half])(logits[half])
    return probabilities


def has_evidence(label: Labels) -> bool:
    """Whether one label's column (N,) holds enough of both answers to be judged by itself."""
    return int((label == 1).sum()) >= ENOUGH_EACH and int((label == 0).sum()) >= ENOUGH_EACH


def _fit(logits: Scores, labels: Labels) -> tuple[float, float]:
    """Platt's slope and intercept of one score against one answer, both (M,)."""
    positives, negatives = float((labels == 1).sum()), float((labels == 0).sum())
    if positives + negatives == 0:
        return 1.0, 0.0
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(theta: Scores) -> tuple[float, Scores]:
        score = theta[0] * logits + theta[1]
        residual = expit(score) - target
        value = (np.logaddexp(0, score) - target * score).mean() + 1e-3 * (theta[0] - 1) ** 2
        slope_gradient = (residual * logits).mean() + 2e-3 * (theta[0] - 1)
        return float(value), np.array([slope_gradient, residual.mean()])

    # A slope below zero would reverse the ranking: a few unlucky labels must not do that.
    bounds = [(0.05, 20.0), (-20.0, 20.0)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), float(found.x[1])


def expected_calibration_error(probabilities: Scores, labels: Labels, *, bins: int = 15) -> float:
    """Mean distance between confidence and frequency over equal-width bins of known cells."""
    known = labels >= 0
    if not known.any():
        return float("nan")
    probability, label = probabilities[known], labels[known].astype(float)
    index = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    confidence = np.bincount(index, probability, minlength=bins)
    frequency = np.bincount(index, label, minlength=bins)
    return float(np.abs(confidence - frequency).sum() / count.sum())


def error_upper_bound(errors: int, trials: int, *, confidence: float = 0.95) -> float:
    """Clopper-Pearson: the one-sided upper bound on an error rate; 1 without any trial."""
    if trials == 0 or errors >= trials:
        return 1.0
    return float(stats.beta.ppf(confidence, errors + 1, trials - errors))

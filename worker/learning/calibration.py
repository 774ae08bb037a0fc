"""Turning scores into probabilities that can be trusted, on labels held out from training.

Each label gets a curve of its own where the evidence allows it. Elsewhere labels share a slope, and
their shifts are drawn together: cracks may be more frequent than a model thinks, potholes less.
Nothing here trains a model.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from worker.learning.curves import ALL, SLOPES, SMOOTH, Curve, Family, choose_curve
from worker.learning.slopes import shared_slopes

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]

# Fewer positives or negatives than this say nothing about one label's own calibration.
ENOUGH_EACH = 10
ENOUGH_IMAGES = 300
# A free step needs many answers before it beats a curve of three numbers.
ENOUGH_FOR_STEPS = 1000
# How far apart labels' shifts lie, in logits, before the evidence speaks.
SHIFT_SPREAD = 1.0


@dataclass(frozen=True)
class Calibration:
    """A curve for each label (K,); `own` says which were fitted on the label's own evidence."""

    curves: tuple[Curve, ...]
    own: tuple[bool, ...]

    def __call__(self, logits: Scores) -> Scores:
        """Logits (..., K) to calibrated probabilities of the same shape."""
        columns = [curve(logits[..., k]) for k, curve in enumerate(self.curves)]
        return np.stack(columns, axis=-1)

    @classmethod
    def identity(cls, n_labels: int) -> Self:
        """No evidence, no correction."""
        return cls((Curve(),) * n_labels, (False,) * n_labels)

    @classmethod
    def fit(cls, logits: Scores, labels: Labels) -> Self:
        """Calibrate on held-out `logits` (N, K) and `labels` (N, K) of 1, 0 and -1 unknown.

        A label gets a curve of its own with at least 10 positives and 10 negatives among at least
        300 images, else Platt's with the slope of all labels and a shift near theirs.
        """
        curves = list(_shared_curves(logits, labels))
        own = [(label >= 0).sum() >= ENOUGH_IMAGES and has_evidence(label) for label in labels.T]
        for k in np.flatnonzero(own):
            curves[k] = _own_curve(logits[:, k], labels[:, k])
        return cls(tuple(curves), tuple(map(bool, own)))

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """What `dataclasses.asdict` makes of it, back from JSON."""
        curves = tuple(
            Curve(Family(curve["family"]), tuple(curve["parameters"]))
            for curve in document["curves"]
        )
        return cls(curves, tuple(bool(own) for own in document["own"]))


def _shared_curves(logits: Scores, labels: Labels) -> tuple[Curve, ...]:
    found = shared_slopes(logits[..., None], labels, np.ones(1), spread=SHIFT_SPREAD)
    slope = max(float(found.values[0]), SLOPES[0])  # scores that mislead are not turned round
    return tuple(Curve(Family.PLATT, (slope, float(shift))) for shift in found.intercepts)


def _own_curve(logits: Scores, labels: Labels) -> Curve:
    known = labels >= 0
    families = ALL if known.sum() >= ENOUGH_FOR_STEPS else SMOOTH
    return choose_curve(logits[known], labels[known] == 1, families)


def cross_calibrate(logits: Scores, labels: Labels) -> Scores:
    """Probabilities (N, K) whose calibration never saw their own half of the evidence."""
    odd = np.arange(len(logits)) % 2 == 1
    probabilities = np.empty_like(logits)
    for half in (odd, ~odd):
        probabilities[half] = Calibration.fit(logits[~half], labels[~half])(logits[half])
    return probabilities


def has_evidence(label: Labels) -> bool:
    """Whether one label's column (N,) holds enough of both answers to be judged by itself."""
    return int((label == 1).sum()) >= ENOUGH_EACH and int((label == 0).sum()) >= ENOUGH_EACH


def expected_calibration_error(probabilities: Scores, labels: Labels, *, bins: int = 15) -> float:
    """Mean distance between confidence and frequency over equal-width bins of known cells."""
    known = labels >= 0
    if not known.any():
        return float("nan")
    count, confidence, frequency = reliability(probabilities[known], labels[known] == 1, bins)
    return float(np.abs(confidence - frequency).sum() / count.sum())


def reliability(
    probabilities: Scores, answers: NDArray[np.bool_], bins: int
) -> tuple[Scores, Scores, Scores]:
    """Count, sum of confidence and sum of positives of each equal-width bin, (M,) to (bins,)."""
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins).astype(np.float64)
    confidence = np.bincount(index, probabilities, minlength=bins)
    positives = np.bincount(index, answers.astype(float), minlength=bins)
    return count, np.asarray(confidence), np.asarray(positives)

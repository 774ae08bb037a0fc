"""From scores to pseudo-labels: class-aware thresholds for both answers, and selection.

Two users: training, which follows each label's share among human labels (CAP), and the service,
which wants suggestions that are mostly right, judged on held-out labels.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from worker.learning.calibration import has_evidence

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]

PRESENT, ABSENT, NONE = 1, 0, -1
# No probability reaches these.
ABOVE_ALL, BELOW_ALL = 2.0, -1.0


@dataclass(frozen=True)
class Thresholds:
    """Present at or above `present[k]`, absent at or below `absent[k]`, else no pseudo-label."""

    present: tuple[float, ...]
    absent: tuple[float, ...]

    @classmethod
    def closed(cls, n_labels: int) -> Self:
        """No pseudo-label at all: nothing is known about how right one would be."""
        return cls((ABOVE_ALL,) * n_labels, (BELOW_ALL,) * n_labels)


@dataclass(frozen=True)
class PseudoLabels:
    """`value` (N, K): 1 present, 0 absent, -1 none; `confidence` (N, K) in that value, 0..1."""

    value: Labels
    confidence: Scores


def class_prior(labels: Labels) -> Scores:
    """Smoothed share of positives among the known cells of each label, (N, K) to (K,)."""
    positives, known = (labels == 1).sum(axis=0), (labels >= 0).sum(axis=0)
    return np.asarray((positives + 0.5) / (known + 1))


def class_aware_thresholds(
    probabilities: Scores, prior: Scores, *, keep_positive: float = 1.0, keep_negative: float = 1.0
) -> Thresholds:
    """CAP (Xie et al., NeurIPS 2023): as many positives among n scores as the prior expects.

    For each label the top `keep_positive * prior * n` of the unlabelled scores (N, K) become
    present and the bottom `keep_negative * (1 - prior) * n` absent; the rest stays undecided.
    """
    n = len(probabilities)
    ranked = np.sort(probabilities, axis=0)  # ascending
    n_positive = np.clip(np.rint(keep_positive * prior * n), 1, n).astype(int)
    n_negative = np.clip(np.rint(keep_negative * (1 - prior) * n), 1, n).astype(int)
    columns = np.arange(probabilities.shape[1])
    present, absent = ranked[n - n_positive, columns], ranked[n_negative - 1, columns]
    # Ties across both ends go to "absent", the commoner answer.
    absent = np.minimum(absent, np.nextafter(present, -np.inf))
    return Thresholds(tuple(present.tolist()), tuple(absent.tolist()))


def precision_thresholds(
    probabilities: Scores,
    labels: Labels,
    *,
    present_precision: float = 0.8,
    absent_precision: float = 0.95,
) -> Thresholds:
    """Thresholds whose pseudo-labels were right this often among held-out labels (N, K).

    A label without its own evidence (10 positives and 10 negatives) takes the pooled threshold;
    a label without any positive gets no pseudo-labels at all.
    """
    known = labels >= 0
    pooled_present = _lowest(probabilities[known], labels[known] == 1, present_precision)
    pooled_absent = 1 - _lowest(1 - probabilities[known], labels[known] == 0, absent_precision)
    present, absent = [], []
    for probability, label in zip(probabilities.T, labels.T, strict=True):
        cells = label >= 0
        if has_evidence(label):
            high = _lowest(probability[cells], label[cells] == 1, present_precision)
            low = 1 - _lowest(1 - probability[cells], label[cells] == 0, absent_precision)
        elif (label == 1).any():
            high, low = pooled_present, pooled_absent
        else:
            high, low = ABOVE_ALL, BELOW_ALL
        # A suggestion is the likelier answer, however easy the label is.
        present.append(max(high, 0.5))
        absent.append(min(low, float(np.nextafter(0.5, 0))))
    return Thresholds(tuple(present), tuple(absent))


def _lowest(scores: Scores, correct: NDArray[np.bool_], precision: float) -> float:
    """The lowest score such that at least `precision` of all at or above it are correct.

    Laplace-smoothed, so that three lucky hits do not open the gate; above all if no score does.
    """
    order = np.argsort(-scores, kind="stable")
    hits = correct[order].cumsum()
    smoothed = (hits + 1) / (np.arange(1, len(hits) + 1) + 2)
    enough = np.flatnonzero(smoothed >= precision)
    return float(scores[order][enough[-1]]) if len(enough) else ABOVE_ALL


def select(probabilities: Scores, thresholds: Thresholds) -> PseudoLabels:
    """Pseudo-labels of calibrated `probabilities` (N, K)."""
    present = probabilities >= np.array(thresholds.present)
    absent = probabilities <= np.array(thresholds.absent)
    value = np.where(present, PRESENT, np.where(absent, ABSENT, NONE)).astype(np.int8)
    confidence = np.where(present, probabilities, np.where(absent, 1 - probabilities, 0.0))
    return PseudoLabels(value, confidence)

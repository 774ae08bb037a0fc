"""From scores to pseudo-labels: class-aware thresholds for both answers, and selection.

Two users: training, which follows each label's share among human labels (CAP), and the service,
which wants suggestions that are mostly right, judged on held-out labels.
"""

from collections.abc import Sequence
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


def closed_where(thresholds: Thresholds, unknown: NDArray[np.bool_]) -> Thresholds:
    """The thresholds, without any pseudo-label for the labels (K,) that are `unknown`."""
    return Thresholds(
        tuple(np.where(unknown, ABOVE_ALL, thresholds.present).tolist()),
        tuple(np.where(unknown, BELOW_ALL, thresholds.absent).tolist()),
    )


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
    miss_costs: Sequence[float] | None = None,
    present_precision: float = 0.8,
    absent_precision: float = 0.95,
) -> Thresholds:
    """Thresholds whose pseudo-labels were right this often among held-out labels (N, K).

    A wrong "absent" costs `miss_costs` (K,) times a wrong "present" (1 if left out): the odds that
    an answer has to reach move by that factor, down for "present", up for "absent", and no answer
    lies on the side of p = 1 / (1 + cost) where the other one is cheaper (Elkan, IJCAI 2001).

    A label without its own evidence (10 positives and 10 negatives) is judged by that of all
    labels; a label without any positive gets no pseudo-labels at all.
    """
    costs = (1.0,) * labels.shape[1] if miss_costs is None else miss_costs
    known = labels >= 0
    present, absent = [], []
    for probability, label, cost in zip(probabilities.T, labels.T, costs, strict=True):
        cells = label >= 0
        if not (label == 1).any():
            high, low = ABOVE_ALL, BELOW_ALL
        else:
            own = has_evidence(label)
            p = probability[cells] if own else probabilities[known]
            y = label[cells] if own else labels[known]
            high = _lowest(p, y == 1, _odds_times(present_precision, 1 / cost))
            low = 1 - _lowest(1 - p, y == 0, _odds_times(absent_precision, cost))
        # A suggestion is the answer that is cheaper if wrong, however easy the label is.
        even = 1 / (1 + cost)
        present.append(max(high, even))
        absent.append(min(low, float(np.nextafter(even, 0))))
    return Thresholds(tuple(present), tuple(absent))


def _odds_times(share: float, factor: float) -> float:
    odds = share / (1 - share) * factor
    return odds / (1 + odds)


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

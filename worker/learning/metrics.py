"""How good predictions are: average precision, F1, pseudo-label quality, with intervals.

Unknown cells (-1) have no part in any figure. A figure that cannot be computed is NaN here and
null in a model card.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.learning.calibration import expected_calibration_error, reliability

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Figure:
    """An estimate with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """Answers whose probability lies in `low` to `high`: how many, their mean probability, and the
    share of them that is really present."""

    low: float
    high: float
    count: int
    confidence: float
    frequency: float


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram (Guo et al., ICML 2017): on the diagonal, confidence is frequency.

    `ece` is the mean distance from it, each bin weighing as many answers as it holds.
    """

    ece: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Evaluation:
    """Figures over one set of images; `ap` has one entry for each label."""

    images: int
    positives: tuple[int, ...]
    ap: tuple[Figure, ...]
    map: Figure
    cf1: Figure
    of1: Figure
    ece: float


def average_precision(scores: NDArray[np.floating], labels: Labels) -> float:
    """Area under precision over recall by steps, ties counted together; both (N,).

    NaN without a positive: nothing can be ranked.
    """
    known = labels >= 0
    scores, positive = scores[known], (labels[known] == 1).astype(float)
    if positive.sum() == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    last_of_tie = np.append(np.diff(scores) != 0, True)
    found = positive.cumsum()[last_of_tie]
    precision = found / (np.flatnonzero(last_of_tie) + 1)
    recall_step = np.diff(found, prepend=0.0) / positive.sum()
    return float((precision * recall_step).sum())


def average_precisions(scores: NDArray[np.floating], labels: Labels) -> Scores:
    """Average precision of each label: (N, K) and (N, K) to (K,)."""
    return np.array(
        [average_precision(s, y) for s, y in zip(scores.T, labels.T, strict=True)], dtype=float
    )


def mean_average_precision(scores: NDArray[np.floating], labels: Labels) -> float:
    """Mean over the labels that have a positive; NaN if none has."""
    return _nanmean(average_precisions(scores, labels))


def class_f1(predicted: NDArray[np.bool_], labels: Labels) -> float:
    """CF1: harmonic mean of precision and recall, each averaged over labels first."""
    true, called, real = _counts(predicted, labels)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = _nanmean(true / called), _nanmean(true / real)
    return _harmonic(precision, recall)


def overall_f1(predicted: NDArray[np.bool_], labels: Labels) -> float:
    """OF1: harmonic mean of precision and recall over all cells together."""
    true, called, real = (count.sum() for count in _counts(predicted, labels))
    if called == 0 or real == 0:
        return float("nan") if real == 0 else 0.0
    return _harmonic(float(true / called), float(true / real))


def _counts(predicted: NDArray[np.bool_], labels: Labels) -> tuple[Scores, Scores, Scores]:
    """True positives, predicted positives and real positives of each label."""
    known, real = labels >= 0, labels == 1
    true = (predicted & real).sum(axis=0).astype(float)
    return true, (predicted & known).sum(axis=0).astype(float), real.sum(axis=0).astype(float)


def _harmonic(precision: float, recall: float) -> float:
    if np.isnan(precision) or np.isnan(recall):
        return float("nan") if np.isnan(recall) else 0.0
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _nanmean(values: Scores) -> float:
    return float("nan") if np.isnan(values).all() else float(np.nanmean(values))


def evaluate(
    probabilities: Scores,
    labels: Labels,
    *,
    unseen: Scores | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Evaluation:
    """All figures of `probabilities` (N, K) against `labels` (N, K), bootstrapped over images.

    `unseen` holds probabilities calibrated on other images, for an honest calibration error.
    """
    rows = np.random.default_rng(seed).integers(0, len(labels), (draws, len(labels)))
    called = probabilities >= 0.5

    def figure(measure: Callable[[NDArray[np.int64]], float]) -> Figure:
        return _interval(measure(np.arange(len(labels))), [measure(row) for row in rows])

    drawn_ap = np.stack([average_precisions(probabilities[row], labels[row]) for row in rows])
    ap = average_precisions(probabilities, labels)
    return Evaluation(
        images=len(labels),
        positives=tuple(int(count) for count in (labels == 1).sum(axis=0)),
        ap=tuple(_interval(a, d) for a, d in zip(ap, drawn_ap.T, strict=True)),
        map=_interval(_nanmean(ap), [_nanmean(draw) for draw in drawn_ap]),
        cf1=figure(lambda row: class_f1(called[row], labels[row])),
        of1=figure(lambda row: overall_f1(called[row], labels[row])),
        ece=expected_calibration_error(probabilities if unseen is None else unseen, labels),
    )


def reliability_diagram(probabilities: Scores, labels: Labels, *, bins: int = 15) -> Reliability:
    """Confidence against frequency of the known cells of (N, K), without empty bins."""
    known = labels >= 0
    count, confidence, positives = reliability(probabilities[known], labels[known] == 1, bins)
    return Reliability(
        ece=expected_calibration_error(probabilities, labels, bins=bins),
        bins=tuple(
            Bin(
                low=k / bins,
                high=(k + 1) / bins,
                count=int(count[k]),
                confidence=float(confidence[k] / count[k]),
                frequency=float(positives[k] / count[k]),
            )
            for k in np.flatnonzero(count).tolist()
        ),
    )


def _interval(value: float, draws: list[float] | Scores) -> Figure:
    drawn = np.asarray(draws, dtype=float)
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) == 0:
        return Figure(value, float("nan"), float("nan"))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(value, float(low), float(high))


def pseudo_label_quality(
    selected: Labels, labels: Labels, *, value: int = 1
) -> tuple[float, float]:
    """Precision and recall of the pseudo-labels (N, K) of one `value` against the truth (N, K)."""
    known = labels >= 0
    chosen, real = (selected == value) & known, labels == value
    correct = float((chosen & real).sum())
    precision = correct / chosen.sum() if chosen.any() else float("nan")
    recall = correct / real.sum() if real.any() else float("nan")
    return float(precision), float(recall)

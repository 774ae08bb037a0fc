"""Promises for accepting without a person: "at most a share alpha of these is wrong".

A promise is tested on labels that neither trained, nor weighted, nor calibrated the model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from worker.learning.thresholds import ABSENT, PRESENT

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]

# Strictest first, fixed before any label is seen; the half of a grid below 0.5 accepts guesses.
GRID = 1 - np.geomspace(1e-4, 0.5, 60)
# The first test accepts at least this share of the answers that lie above one half: among the few
# surest ones a single error would end the whole sequence (research/LOG.md).
FIRST_SHARE = 0.4


@dataclass(frozen=True)
class Promise:
    """Among answers `value` of a label that are at least this sure, few enough are wrong.

    With probability `1 - delta` over the photos tested on, the error rate at `threshold` is at
    most `alpha`. `accepted` and `errors` count those photos; `bound` is the upper bound itself.
    """

    value: int
    threshold: float
    alpha: float
    delta: float
    accepted: int
    errors: int
    bound: float


def error_upper_bound(errors: int, trials: int, *, confidence: float = 0.95) -> float:
    """Clopper-Pearson: the one-sided upper bound on an error rate; 1 without any trial."""
    if trials == 0 or errors >= trials:
        return 1.0
    return float(stats.beta.ppf(confidence, errors + 1, trials - errors))


def fewest_trials(alpha: float, delta: float) -> int:
    """How many accepted photos, all of them right, it takes to promise anything."""
    return int(np.ceil(np.log(delta) / np.log1p(-alpha)))


def fewest_accepted(confidence: Scores, alpha: float, delta: float) -> int:
    """How many answers the strictest threshold that is tested accepts; `confidence` (N,)."""
    likely = np.count_nonzero(confidence >= GRID[-1])
    return max(fewest_trials(alpha, delta), int(np.ceil(FIRST_SHARE * likely)))


def promise(
    probabilities: Scores, labels: Labels, *, value: int, alpha: float, delta: float
) -> Promise | None:
    """The widest acceptance of one label's answers that can be promised; None: not enough evidence.

    Learn-then-test (Angelopoulos et al., Annals of Applied Statistics 2025) with thresholds tested
    in a fixed order, strictest first, up to the first that fails: the chance that any accepted
    threshold breaks its promise is then at most `delta`, whatever their number. Thresholds that
    accept too few photos to promise much are passed over; that depends on scores alone.
    `probabilities` (N,) are calibrated chances of "present"; `labels` (N,) are 1, 0, -1 unknown.
    """
    if value not in {PRESENT, ABSENT}:
        raise ValueError(f"a promise is about present or absent, not {value}")
    known = labels >= 0
    confidence = probabilities[known] if value == PRESENT else 1 - probabilities[known]
    wrong = labels[known] != value
    needed, best = fewest_accepted(confidence, alpha, delta), None
    for threshold in GRID:
        accepted = confidence >= threshold
        trials, errors = int(accepted.sum()), int((accepted & wrong).sum())
        if trials < needed:
            continue
        bound = error_upper_bound(errors, trials, confidence=1 - delta)
        if bound > alpha:
            break
        best = Promise(value, float(threshold), alpha, delta, trials, errors, bound)
    return best

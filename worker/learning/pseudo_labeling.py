"""One round of pseudo-labels: what is known when it begins, and Kizu's own rule for it.

A rule turns the teacher's scores of the unlabelled photos into values and weights. Rivals' rules
are in `baselines/`; how a student learns from the outcome is the trainer's business.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from worker.learning.calibration import Calibration
from worker.learning.evidence import Evidence
from worker.learning.plan import TrainingConfig
from worker.learning.thresholds import (
    PseudoLabels,
    class_aware_thresholds,
    class_prior,
    closed_where,
    select,
)

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Round:
    """What a rule may know. `logits` (N, K) are the teacher's, of the photos to be labelled.

    `labeled` are its scores of the photos it trains on, `held_out` those of labelled photos that
    the scoring model never saw (None where nothing was held out), `committee` (M, N, K) what part
    models say of the photos to be labelled, `spread` the standard deviation (N, K) of the teacher's
    probabilities when parts of its features are dropped. All of these cost time.
    """

    logits: Scores
    labels: NDArray[np.int8]  # what people said about the training photos, (M, K)
    config: TrainingConfig
    labeled: Callable[[], Evidence]
    held_out: Callable[[], Evidence | None]
    committee: Callable[[], Scores]
    spread: Callable[[], Scores]

    @property
    def probabilities(self) -> Scores:
        """Uncalibrated (N, K)."""
        return np.asarray(expit(self.logits))


Rule = Callable[[Round], PseudoLabels]


def calibrated_class_aware(known: Round) -> PseudoLabels:
    """Kizu's rule: class-aware thresholds, each answer weighted by its chance of being right.

    The score is the mean of the teacher's and the part models'. The chance is a calibrated
    probability, measured on held-out labels (posterior correctness as in DiCaP, AAAI 2026, by
    calibration instead of bins); the thresholds are CAP's.
    """
    logits = np.concatenate([known.logits[None], known.committee()]).mean(axis=0)
    evidence = known.held_out()
    if evidence is None:
        calibration = Calibration.identity(logits.shape[1])
    else:
        calibration = Calibration.fit(evidence.logits, evidence.labels)
    probabilities = calibration(logits)
    thresholds = class_aware_thresholds(
        probabilities,
        class_prior(known.labels),
        keep_positive=known.config.keep_positive,
        keep_negative=known.config.keep_negative,
    )
    # A label that nobody has marked present has no share to follow.
    unseen = ~(known.labels == 1).any(axis=0)
    return select(probabilities, closed_where(thresholds, unseen))

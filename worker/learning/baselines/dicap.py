"""DiCaP (AAAI 2026): weights are the posterior correctness that held-out labels show.

Differences: the contrastive loss on ambiguous photos and the last fine-tuning (+0.5 and +0.4 of
mAP in the paper) are left out, and where no labels are held out, two part-models score the half
that each did not see.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from worker.learning.baselines.ml_decoder import decoder_head
from worker.learning.evidence import Evidence
from worker.learning.losses import Loss
from worker.learning.method import Method
from worker.learning.pseudo_labeling import Round
from worker.learning.thresholds import (
    ABOVE_ALL,
    BELOW_ALL,
    PRESENT,
    PseudoLabels,
    Thresholds,
    select,
)

BINS = 20
Scores = NDArray[np.float64]


def posterior_correctness(known: Round) -> PseudoLabels:
    """Dual thresholds for the values, the share of positives in a score's bin for the weights."""
    value = select(known.probabilities, dual_thresholds(known.labeled())).value
    evidence = known.held_out()
    if evidence is None:
        return PseudoLabels(value, np.ones_like(known.probabilities))
    positive = positive_share(evidence, known.probabilities)
    return PseudoLabels(value, np.where(value == PRESENT, positive, 1 - positive))


def dual_thresholds(seen: Evidence) -> Thresholds:
    """Midway between the extremes of the labelled photos' scores, for each answer of a label."""
    present, absent = [], []
    for probability, label in zip(expit(seen.logits).T, seen.labels.T, strict=True):
        positives, negatives = probability[label == 1], probability[label == 0]
        high = _middle(positives, ABOVE_ALL)
        present.append(high)
        absent.append(min(_middle(negatives, BELOW_ALL), float(np.nextafter(high, BELOW_ALL))))
    return Thresholds(tuple(present), tuple(absent))


def _middle(scores: Scores, without: float) -> float:
    return float(scores.max() + scores.min()) / 2 if len(scores) else without


def positive_share(evidence: Evidence, probabilities: Scores) -> Scores:
    """How often held-out scores like these were positives: 20 bins over all labels together,
    joined by straight lines between their centres; Laplace-smoothed, since a bin may be empty."""
    cells = evidence.labels >= 0
    held_out, real = expit(evidence.logits)[cells], evidence.labels[cells] == 1
    index = np.minimum((held_out * BINS).astype(int), BINS - 1)
    count = np.bincount(index, minlength=BINS)
    share = (np.bincount(index, real, minlength=BINS) + 1) / (count + 2)
    centres = (np.arange(BINS) + 0.5) / BINS
    return np.interp(probabilities, centres, share)


DICAP = Method(
    name="dicap",
    source="AAAI 2026, arXiv 2511.20225",
    head=decoder_head,
    rule=posterior_correctness,
    measures_confidence=True,
    configure=lambda config: replace(config, loss=Loss.ASYMMETRIC),
)

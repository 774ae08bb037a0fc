"""Kizu's method with one part taken away or replaced, to see what that part is worth."""

from dataclasses import replace

import numpy as np

from worker.learning.baselines.fixmatch import fixed_thresholds
from worker.learning.method import KIZU, Contexts
from worker.learning.pseudo_labeling import Round, calibrated_class_aware
from worker.learning.thresholds import PseudoLabels


def equal_weights(known: Round) -> PseudoLabels:
    """The same pseudo-labels, none of them weighing less than a human label."""
    chosen = calibrated_class_aware(known)
    return PseudoLabels(chosen.value, np.ones_like(chosen.confidence))


ABLATIONS = (
    replace(KIZU, name="kizu-no-context", contexts=Contexts.NONE),
    replace(KIZU, name="kizu-shuffled-context", contexts=Contexts.SHUFFLED),
    replace(KIZU, name="kizu-no-pairs", pairs=False),
    replace(KIZU, name="kizu-equal-weights", rule=equal_weights),
    replace(KIZU, name="kizu-fixed-thresholds", rule=fixed_thresholds),
)

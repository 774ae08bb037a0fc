"""UPS (Rizve et al., ICLR 2021): pseudo-labels that are confident and stable under dropout.

Difference: the dropout of the ten passes is on the backbone's features, since the backbone has
none inside.
"""

import numpy as np

from worker.learning.baselines.ml_decoder import decoder_head
from worker.learning.method import Method
from worker.learning.pseudo_labeling import Round
from worker.learning.thresholds import ABSENT, NONE, PRESENT, PseudoLabels

PRESENT_FROM, PRESENT_SPREAD = 0.7, 0.05
ABSENT_UP_TO, ABSENT_SPREAD = 0.05, 0.005


def uncertainty_aware(known: Round) -> PseudoLabels:
    probability, spread = known.probabilities, known.spread()
    present = (probability >= PRESENT_FROM) & (spread <= PRESENT_SPREAD)
    absent = (probability <= ABSENT_UP_TO) & (spread <= ABSENT_SPREAD)
    value = np.where(present, PRESENT, np.where(absent, ABSENT, NONE)).astype(np.int8)
    return PseudoLabels(value, np.ones_like(probability))


UPS = Method(
    name="ups",
    source="Rizve et al., ICLR 2021, arXiv 2101.06329",
    head=decoder_head,
    rule=uncertainty_aware,
)

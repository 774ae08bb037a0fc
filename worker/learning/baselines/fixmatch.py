"""FixMatch (Sohn et al., NeurIPS 2020) for several labels: fixed thresholds, equal weights.

Difference: both answers have a threshold, since a photo has many yes-or-no labels instead of one.
"""

from worker.learning.baselines.ml_decoder import decoder_head
from worker.learning.baselines.plain import unweighted
from worker.learning.method import Method
from worker.learning.pseudo_labeling import Round
from worker.learning.thresholds import PseudoLabels, Thresholds

PRESENT, ABSENT = 0.95, 0.05


def fixed_thresholds(known: Round) -> PseudoLabels:
    n_labels = known.logits.shape[1]
    thresholds = Thresholds((PRESENT,) * n_labels, (ABSENT,) * n_labels)
    return unweighted(known.probabilities, thresholds)


FIXMATCH = Method(
    name="fixmatch",
    source="Sohn et al., NeurIPS 2020, arXiv 2001.07685",
    head=decoder_head,
    rule=fixed_thresholds,
)

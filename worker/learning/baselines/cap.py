"""CAP (Xie et al., NeurIPS 2023): class-distribution-aware pseudo-labels, equal weights.

Each label gets as many pseudo-positives as human labels lead one to expect; the least likely
99.8 % of the expected negatives become absent.
"""

from dataclasses import replace

from worker.learning.baselines.ml_decoder import decoder_head
from worker.learning.baselines.plain import unweighted
from worker.learning.losses import Loss
from worker.learning.method import Method
from worker.learning.pseudo_labeling import Round
from worker.learning.thresholds import PseudoLabels, class_aware_thresholds, class_prior

KEEP_POSITIVE, KEEP_NEGATIVE = 1.0, 0.998


def class_distribution(known: Round) -> PseudoLabels:
    thresholds = class_aware_thresholds(
        known.probabilities,
        class_prior(known.labels),
        keep_positive=KEEP_POSITIVE,
        keep_negative=KEEP_NEGATIVE,
    )
    return unweighted(known.probabilities, thresholds)


CAP = Method(
    name="cap",
    source="Xie et al., NeurIPS 2023, arXiv 2305.02795",
    head=decoder_head,
    rule=class_distribution,
    configure=lambda config: replace(config, loss=Loss.ASYMMETRIC),
)

"""Kizu's method with one part taken away or replaced, to see what that part is worth."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from worker.learning.aligner import Aligner, Alignment, Head, Voice
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines.fixmatch import fixed_thresholds
from worker.learning.method import KIZU, Contexts
from worker.learning.plan import TrainingConfig
from worker.learning.pseudo_labeling import Round, calibrated_class_aware
from worker.learning.thresholds import PseudoLabels


def equal_weights(known: Round) -> PseudoLabels:
    """The same pseudo-labels, none of them weighing less than a human label."""
    chosen = calibrated_class_aware(known)
    return PseudoLabels(chosen.value, np.ones_like(chosen.confidence))


class GlobalAligner(Aligner):
    """Kizu's head with one feature for all labels: it sees the photo's mean token alone.

    `global-alignment` differs more: CLIP's own pooled feature, no adapter, no learned negative.
    """

    def forward(self, features: ImageFeatures) -> Alignment:
        mean = features.tokens.mean(dim=1, keepdim=True)  # (B, 1, D)
        return super().forward(ImageFeatures(mean, features.pooled))


def global_aligner(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    return GlobalAligner(text, n_contexts)


def teacher_alone(known: Round) -> PseudoLabels:
    """Without the votes of part models."""
    return calibrated_class_aware(
        replace(known, committee=lambda: np.empty((0, *known.logits.shape)))
    )


def places_alone(config: TrainingConfig) -> TrainingConfig:
    """One voice: each label's own feature against its text."""
    return replace(config, voices=(Voice.PLACES,))


ABLATIONS = (
    replace(
        KIZU, name="kizu-global", head=global_aligner, makes_trials=False, configure=places_alone
    ),
    replace(KIZU, name="kizu-places-alone", configure=places_alone),
    replace(KIZU, name="kizu-no-context", contexts=Contexts.NONE),
    replace(KIZU, name="kizu-shuffled-context", contexts=Contexts.SHUFFLED),
    replace(KIZU, name="kizu-no-trials", makes_trials=False),
    replace(KIZU, name="kizu-no-pseudo-labels", rule=None),
    replace(KIZU, name="kizu-teacher-alone", rule=teacher_alone),
    replace(KIZU, name="kizu-equal-weights", rule=equal_weights),
    replace(KIZU, name="kizu-fixed-thresholds", rule=fixed_thresholds),
)

"""What rivals have in common: heads without label-specific features, labels without weights."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from worker.learning.aligner import Alignment
from worker.learning.thresholds import PseudoLabels, Thresholds, select


def plain(logits: Tensor, pooled: Tensor) -> Alignment:
    """Logits (B, K) and pooled features (B, D) alone: no context, every label sees the whole."""
    return Alignment(
        logits=logits,
        context_logits=logits.new_zeros(len(logits), 1),
        label_features=pooled[:, None].expand(-1, logits.shape[1], -1),
        pooled=pooled,
    )


def unweighted(probabilities: NDArray[np.float64], thresholds: Thresholds) -> PseudoLabels:
    """Pseudo-labels (N, K) that all weigh as much as human labels."""
    value = select(probabilities, thresholds).value
    return PseudoLabels(value, np.ones_like(probabilities))

"""Losses over partially known labels: binary cross-entropy and the asymmetric loss.

Every loss is summed over the known labels of an image and averaged over images, so that the
label loss and the context loss keep the same scale whatever the number of labels.
"""

from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional as F


class Loss(StrEnum):
    BCE = "bce"
    ASYMMETRIC = "asymmetric"


def elementwise(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of each cell. `logits`, `targets` in 0..1 and the result are (B, K)."""
    if loss is Loss.ASYMMETRIC:
        return asymmetric(logits, targets)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 0.0,
    clip: float = 0.05,
) -> Tensor:
    """Asymmetric loss (Ridnik et al., ICCV 2021): easy negatives count less. Shapes (B, K)."""
    positive = logits.sigmoid()
    negative = (1 - positive + clip).clamp(max=1)
    with torch.no_grad():
        focus_positive = targets * (1 - positive) ** gamma_positive
        focus_negative = (1 - targets) * (1 - negative) ** gamma_negative
    log_positive = positive.clamp(min=1e-8).log()
    log_negative = negative.clamp(min=1e-8).log()
    return -(focus_positive * log_positive + focus_negative * log_negative)


def of_photos(cells: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over labels: `cells` and `weights` (B, K) to (B,).

    A cell of weight 0 is unknown and has no part in the sum.
    """
    return (cells * weights).sum(dim=1)


def miss_weights(targets: Tensor, miss_costs: Tensor) -> Tensor:
    """The cost of a miss (K,) on the positive part of each target (B, K), 1 on the negative."""
    return 1 + (miss_costs - 1) * targets

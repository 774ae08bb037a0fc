"""Photos side by side: a pair shows what either of its photos shows, exactly and at no human cost.

A label that is present in one photo must be found among the tokens of two, and one that is absent
from both nowhere in twice as many places: what attention learns from few photos holds longer. The
idea is multiple-instance learning's (a bag is positive if one of its instances is: Dietterich et
al., 1997) with photos for instances; unlike mosaics or mixtures of pixels it needs no new look.
"""

import torch
from torch import Tensor

from worker.learning.backbone import ImageFeatures

USUAL_WEIGHT = 0.5


def partners(n_labeled: int, n: int) -> tuple[Tensor, Tensor, int]:
    """Positions of the first and of the second photo of each pair, and how many are labelled.

    Labelled photos, which stand first among `n`, are paired with labelled ones, the rest with the
    rest. A photo whose half has no other is left out.
    """
    labeled, rest = n_labeled // 2, (n - n_labeled) // 2
    first = torch.cat([torch.arange(labeled), n_labeled + torch.arange(rest)])
    second = torch.cat([labeled + torch.arange(labeled), n_labeled + rest + torch.arange(rest)])
    return first, second, labeled


def paired_features(features: ImageFeatures, first: Tensor, second: Tensor) -> ImageFeatures:
    """Tokens (P, 2L, D) of both photos of a pair, and the mean of their pooled features (P, D)."""
    tokens, pooled = features.tokens, features.pooled
    return ImageFeatures(
        torch.cat([tokens[first], tokens[second]], dim=1), (pooled[first] + pooled[second]) / 2
    )


def paired_targets(
    labels: Tensor, weights: Tensor, first: Tensor, second: Tensor
) -> tuple[Tensor, Tensor]:
    """Labels (P, K) of 1 or 0 and weights (P, K) of pairs, from those of photos (B, K).

    A presence weighs as much as the surer of the two; an absence is right only if both are.
    """
    present = torch.maximum(labels[first], labels[second])
    both = weights[first] * weights[second]
    surer = torch.maximum(labels[first] * weights[first], labels[second] * weights[second])
    return present, torch.where(present > 0, surer, both)

"""Global alignment fine-tuning: one feature of the image against the texts of all labels."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning.aligner import ALIGNMENT_SCALE, PRIOR_LOGIT, Alignment, Head
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines.plain import plain
from worker.learning.method import Method
from worker.learning.pseudo_labeling import calibrated_class_aware


class GlobalHead(Head):
    """Scaled cosine of the pooled feature (B, D) and each label's text with a residual (K, D)."""

    def __init__(self, text: Tensor) -> None:
        super().__init__(text)
        self.residual = nn.Parameter(torch.zeros_like(self.text))
        self.bias = nn.Parameter(torch.full((len(text),), PRIOR_LOGIT))
        self.scale = nn.Parameter(torch.full((len(text),), math.log(ALIGNMENT_SCALE)))

    def forward(self, features: ImageFeatures) -> Alignment:
        pooled = F.normalize(features.pooled.to(self.text), dim=-1)
        answer = F.normalize(self.text + self.residual, dim=-1)
        return plain(self.scale.exp() * (pooled @ answer.T) + self.bias, pooled)


def global_head(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    return GlobalHead(text)


GLOBAL_ALIGNMENT = Method(
    name="global-alignment",
    source="CLIP fine-tuned with one image feature for all labels; Kizu's pseudo-labels",
    head=global_head,
    rule=calibrated_class_aware,
    measures_confidence=True,
)

"""DualCoOp (Sun et al., NeurIPS 2022): a positive and a negative prompt for each label.

Differences: each learned prompt is a learned residual of the label's text feature, because the
backbone is tuned and its text tower stays; and Kizu's pseudo-labels, since the paper completes
partial labels instead of unlabelled photos.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning.aligner import PRIOR_LOGIT, Alignment, Head
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines.plain import plain
from worker.learning.method import Method
from worker.learning.pseudo_labeling import calibrated_class_aware

SPATIAL_SCALE, LOGIT_SCALE = 20.0, 5.0  # as in the paper's code


class DualPromptHead(Head):
    """The positive prompt's similarities pool its own and the negative one's over the tokens."""

    def __init__(self, text: Tensor) -> None:
        super().__init__(text)
        self.positive = nn.Parameter(torch.zeros_like(self.text))
        # Two equal prompts would have no gradient apart.
        self.negative = nn.Parameter(0.02 * torch.randn_like(self.text))
        self.bias = nn.Parameter(torch.full((len(text),), PRIOR_LOGIT))

    def forward(self, features: ImageFeatures) -> Alignment:
        tokens = F.normalize(features.tokens.to(self.text), dim=-1)  # (B, L, D)
        positive, negative = (
            SPATIAL_SCALE * tokens @ F.normalize(self.text + residual, dim=-1).T
            for residual in (self.positive, self.negative)
        )  # (B, L, K)
        attention = positive.softmax(dim=1)
        margin = (attention * (positive - negative)).sum(dim=1)  # (B, K)
        pooled = F.normalize(features.pooled.to(self.text), dim=-1)
        return plain(LOGIT_SCALE * margin + self.bias, pooled)


def dual_prompt_head(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    return DualPromptHead(text)


DUALCOOP = Method(
    name="dualcoop",
    source="Sun et al., NeurIPS 2022, arXiv 2206.09541",
    head=dual_prompt_head,
    rule=calibrated_class_aware,
    measures_confidence=True,
)

"""Linear probe (Radford et al., ICML 2021): one linear layer on the photo's pooled feature.

Difference: the backbone is tuned with it wherever the other methods tune theirs.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning.aligner import PRIOR_LOGIT, Alignment, Head
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines.plain import plain
from worker.learning.method import Method


class LinearHead(Head):
    """Pooled feature (B, D), brought to variance 1, to logits (B, K)."""

    def __init__(self, text: Tensor) -> None:
        super().__init__(text)
        n_labels, dim = text.shape
        self.linear = nn.Linear(dim, n_labels)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, PRIOR_LOGIT)

    def forward(self, features: ImageFeatures) -> Alignment:
        pooled = features.pooled.to(self.text)
        logits = self.linear(F.layer_norm(pooled, pooled.shape[-1:]))
        return plain(logits, F.normalize(pooled, dim=-1))


def linear_head(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    return LinearHead(text)


LINEAR_PROBE = Method(
    name="linear-probe",
    source="Radford et al., ICML 2021, arXiv 2103.00020",
    head=linear_head,
    rule=None,
)

"""ML-Decoder (Ridnik et al., WACV 2023) with text queries: one cross-attention layer.

Differences: narrower than the paper's 768 (the backbone's width), and Kizu's pseudo-labels, since
the paper learns from labels alone. The same head carries the pseudo-label rules of FixMatch, CAP,
DiCaP and UPS, as in DiCaP's comparison.
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

HEADS = 8
DROPOUT = 0.1


class DecoderHead(Head):
    """Fixed text queries (K, D) attend to tokens (B, L, D); each has a classifier of its own."""

    def __init__(self, text: Tensor) -> None:
        super().__init__(text)
        n_labels, dim = text.shape
        self.embed = nn.Linear(dim, dim)
        self.attention = nn.MultiheadAttention(dim, HEADS, dropout=DROPOUT, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(4 * dim, dim)
        )
        self.weight = nn.Parameter(torch.empty(n_labels, dim))
        self.bias = nn.Parameter(torch.full((n_labels,), PRIOR_LOGIT))
        nn.init.xavier_normal_(self.weight)

    def forward(self, features: ImageFeatures) -> Alignment:
        before, between, after = self.norms
        tokens = F.relu(self.embed(features.tokens.to(self.text)))
        query = before(2 * self.text).expand(len(tokens), -1, -1)  # (B, K, D)
        attended, _ = self.attention(query, tokens, tokens, need_weights=False)
        query = between(query + attended)
        query = after(query + self.feed_forward(query))
        pooled = F.normalize(features.pooled.to(self.text), dim=-1)
        return plain((query * self.weight).sum(dim=-1) + self.bias, pooled)


def decoder_head(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    return DecoderHead(text)


ML_DECODER = Method(
    name="ml-decoder",
    source="Ridnik et al., WACV 2023, arXiv 2111.12933",
    head=decoder_head,
    rule=calibrated_class_aware,
    measures_confidence=True,
)

"""ML-Decoder (Ridnik et al., WACV 2023) with text queries: one cross-attention layer.

Differences: narrower than the paper's 768 (the backbone's width), and Kizu's pseudo-labels, since
the paper learns from labels alone. The same head carries the pseudo-label rules of FixMatch, CAP,
DiCaP and UPS, as in DiCaP's comparison.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from worker.learning.aligner import PRIOR_LOGIT, Alignment, Head
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines.plain import plain
from worker.learning.decoder import Decoder
from worker.learning.method import Method
from worker.learning.pseudo_labeling import calibrated_class_aware


class DecoderHead(Head):
    """Fixed text queries (K, D) over tokens (B, L, D)."""

    def __init__(self, text: Tensor) -> None:
        super().__init__(text)
        self.decoder = Decoder(len(text), text.shape[1], PRIOR_LOGIT)

    def forward(self, features: ImageFeatures) -> Alignment:
        logits = self.decoder(features.tokens.to(self.text), self.text)
        pooled = F.normalize(features.pooled.to(self.text), dim=-1)
        return plain(logits, pooled)


def decoder_head(text: Tensor, n_contexts: int, labels: NDArray[np.int8]) -> Head:
    return DecoderHead(text)


ML_DECODER = Method(
    name="ml-decoder",
    source="Ridnik et al., WACV 2023, arXiv 2111.12933",
    head=decoder_head,
    rule=calibrated_class_aware,
    measures_confidence=True,
)

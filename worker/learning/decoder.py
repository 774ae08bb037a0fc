"""A decoder layer in which the labels' texts ask a photo's tokens (ML-Decoder, Ridnik et al.,
WACV 2023, arXiv 2111.12933)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 8
DROPOUT = 0.1


class Decoder(nn.Module):
    """Text queries (K, D) attend to tokens (B, L, D); each label has a classifier of its own."""

    def __init__(self, n_labels: int, dim: int, prior_logit: float) -> None:
        super().__init__()
        self.embed = nn.Linear(dim, dim)
        self.attention = nn.MultiheadAttention(dim, HEADS, dropout=DROPOUT, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(4 * dim, dim)
        )
        self.weight = nn.Parameter(torch.empty(n_labels, dim))
        self.bias = nn.Parameter(torch.full((n_labels,), prior_logit))
        nn.init.xavier_normal_(self.weight)

    def forward(self, tokens: Tensor, text: Tensor) -> Tensor:
        """Logits (B, K)."""
        before, between, after = self.norms
        tokens = F.relu(self.embed(tokens))
        # By `shape`, since `len` would fix the batch of an exported model.
        query = before(2 * text).expand(tokens.shape[0], -1, -1)  # (B, K, D)
        attended, _ = self.attention(query, tokens, tokens, need_weights=False)
        query = between(query + attended)
        query = after(query + self.feed_forward(query))
        logits: Tensor = (query * self.weight).sum(dim=-1) + self.bias
        return logits

"""The heads on top of a backbone: label-specific features, their alignment, context groups.

Each label asks its question of every patch token, gathers one feature of its own and is compared
with its own text: one-to-one instead of one image feature against all texts. Training is elsewhere.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning.backbone import Backbone, ImageFeatures
from worker.learning.decoder import Decoder
from worker.learning.tiling import Grid
from worker.learning.views import encode_views

ATTENTION_SCALE = 20.0
ALIGNMENT_SCALE = 20.0
# A label is rare before anything is known: start from a probability of about 12 %.
PRIOR_LOGIT = -2.0
SHORTEST = 1e-6  # of a token, so that nothing is divided by zero


@dataclass(frozen=True)
class LabelSpec:
    """A label to learn: its key, English sentences about it, and what missing it costs.

    Without prompts the label starts from an embedding of its own and is learned from its photos.
    """

    key: str
    prompts: tuple[str, ...] = ()
    miss_cost: float = 1.0


class Voice(StrEnum):
    """A way to read a photo for each label.

    Each is learned for itself, on features that all of them shape; how much it counts is measured
    on held-out labels (voices.py).
    """

    PLACES = "places"  # what a label gathers from where it looks, against its text
    WHOLE = "whole"  # the mean token: some defects are areas
    DECODER = "decoder"  # a layer of cross-attention


@dataclass(frozen=True)
class Alignment:
    """`logits` (B, K), `context_logits` (B, C), `label_features` (B, K, D), `pooled` (B, D).

    `voices` (B, K, V) are what the logits are made of; without any they speak for themselves.
    """

    logits: Tensor
    context_logits: Tensor
    label_features: Tensor
    pooled: Tensor
    voices: Tensor | None = None

    @property
    def said(self) -> Tensor:
        """(B, K, V), the voice of places first."""
        return self.logits[..., None] if self.voices is None else self.voices


class Head(nn.Module):
    """What stands on a backbone and turns `ImageFeatures` into an `Alignment`.

    `text` (K, D) holds the frozen unit text features of the labels.
    """

    text: Tensor

    def __init__(self, text: Tensor) -> None:
        super().__init__()
        self.register_buffer("text", F.normalize(text.float(), dim=-1))


class Aligner(Head):
    """Label-specific alignment over patch tokens, after arXiv 2412.18842 as far as it is public.

    What is learned: a residual of each label's question and of its answer, a negative embedding
    (PositiveCoOp, WACV 2025, in place of a negative prompt), a residual adapter of the tokens, and
    the context head; after `hear`, other voices too. `weights` (V,), how much each voice counts,
    and `mix` (K, K), what labels say for each other, are measured on held-out labels and kept in
    the model card.
    """

    weights: Tensor
    mix: Tensor

    def __init__(self, text: Tensor, n_contexts: int) -> None:
        super().__init__(text)
        n_labels, dim = text.shape
        self.question = nn.Parameter(torch.zeros(n_labels, dim))
        self.answer = nn.Parameter(torch.zeros(n_labels, dim))
        self.negative = nn.Parameter(torch.zeros(n_labels, dim))
        self.bias = nn.Parameter(torch.full((n_labels,), PRIOR_LOGIT))
        # Logarithms keep the scales positive; each label finds how sharply it has to look.
        self.attention_scale = nn.Parameter(torch.full((n_labels,), math.log(ATTENTION_SCALE)))
        self.alignment_scale = nn.Parameter(torch.full((n_labels,), math.log(ALIGNMENT_SCALE)))
        self.adapter = nn.Sequential(
            nn.Linear(dim, dim // 4), nn.GELU(), _starting_at_zero(dim // 4, dim)
        )
        self.context = _starting_at_zero(2 * dim, n_contexts)
        self.whole: nn.Linear | None = None
        self.decoder: Decoder | None = None
        self.register_buffer("weights", torch.ones(1), persistent=False)
        self.register_buffer("mix", torch.zeros(n_labels, n_labels), persistent=False)

    def forward(self, features: ImageFeatures) -> Alignment:
        """Products with tokens are computed in the precision that tokens come in."""
        raw = features.tokens.to(self.text.device)
        tokens = self._adapted(raw)  # (B, L, D)
        pooled = F.normalize(features.pooled.to(self.text), dim=-1)  # (B, D)
        # Dividing scores and weights by the lengths spares writing the unit tokens.
        lengths = torch.linalg.vector_norm(tokens, dim=-1).float().clamp_min(SHORTEST)[:, None]
        products = (self._questions().to(tokens) @ tokens.mT).float()  # (B, K, L)
        weights = self._attend(products / lengths) / lengths
        label_features = F.normalize((weights.to(tokens) @ tokens).float(), dim=-1)  # (B, K, D)
        context_logits = self.context(torch.cat([pooled, label_features.mean(dim=1)], dim=-1))
        places = self.align(label_features)
        voices = torch.stack([places, *self._other_voices(raw)], dim=-1)  # (B, K, V)
        own = (voices * self.weights).sum(dim=-1)  # (B, K)
        logits = own + own @ self.mix.T
        return Alignment(logits, context_logits, label_features, pooled, voices)

    def hear(self, voices: Sequence[Voice]) -> Self:
        """Let these speak beside places, at first for nothing; returns the aligner itself."""
        n_labels, dim = self.text.shape
        if Voice.WHOLE in voices:
            self.whole = _starting_at_zero(dim, n_labels)
            nn.init.constant_(self.whole.bias, PRIOR_LOGIT)
        if Voice.DECODER in voices:
            self.decoder = Decoder(n_labels, dim, PRIOR_LOGIT)
        self.weights = F.one_hot(torch.tensor(0), len(self.voices)).float()
        return self

    @property
    def voices(self) -> tuple[Voice, ...]:
        """In the order of `weights`."""
        others = {Voice.WHOLE: self.whole, Voice.DECODER: self.decoder}
        return (Voice.PLACES, *(voice for voice, part in others.items() if part is not None))

    def count(self, weights: Mapping[Voice, float]) -> Self:
        """Let each voice count so much; returns the aligner itself."""
        self.weights.copy_(torch.tensor([weights[voice] for voice in self.voices]))
        return self

    def counted(self) -> dict[Voice, float]:
        """How much each voice counts, for the model card."""
        return dict(zip(self.voices, self.weights.tolist(), strict=True))

    def _other_voices(self, tokens: Tensor) -> list[Tensor]:
        """What voices besides places say of tokens (B, L, D), (B, K) each."""
        said: list[Tensor] = []
        if self.whole is not None:
            mean = tokens.mean(dim=1, dtype=torch.float32)
            said.append(self.whole(F.layer_norm(mean, mean.shape[-1:])))
        if self.decoder is not None:
            said.append(self.decoder(tokens.float(), self.text))
        return said

    def attention(self, tokens: Tensor) -> Tensor:
        """Where each label looks: unit tokens (B, L, D) to weights (B, L, K), 1 over L."""
        return self._attend(self._questions() @ tokens.mT).mT

    def _adapted(self, tokens: Tensor) -> Tensor:
        """Tokens and their residuals (B, L, D), in the precision of `tokens`."""
        down, activation, up = self.adapter
        assert isinstance(down, nn.Linear)
        assert isinstance(up, nn.Linear)
        hidden = activation(F.linear(tokens, down.weight.to(tokens), down.bias.to(tokens)))
        return tokens + F.linear(hidden, up.weight.to(tokens), up.bias.to(tokens))

    def _questions(self) -> Tensor:
        return F.normalize(self.text + self.question, dim=-1)

    def _attend(self, cosines: Tensor) -> Tensor:
        """How well tokens answer each label (B, K, L) to weights, 1 over L."""
        return (self.attention_scale.exp()[:, None] * cosines).softmax(dim=-1)

    def align(self, label_features: Tensor) -> Tensor:
        """Each label's feature against its own text and negative: (B, K, D) to logits (B, K)."""
        answer = F.normalize(self.text + self.answer, dim=-1)
        margin = (label_features * (answer - self.negative)).sum(dim=-1)
        return self.alignment_scale.exp() * margin + self.bias


def weigh(model: nn.Module, weights: NDArray[np.float64]) -> None:
    """Let the voices of a classifier's head, or of a head itself, count so much (V,).

    A head without voices stays as it is.
    """
    head = model.head if isinstance(model, Classifier) else model
    if isinstance(head, Aligner):
        head.weights.copy_(torch.from_numpy(weights))


def _starting_at_zero(n_in: int, n_out: int) -> nn.Linear:
    """Training starts from the backbone's own features and from even contexts."""
    layer = nn.Linear(n_in, n_out)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Classifier(nn.Module):
    """A backbone and its head: photos, or cached tokens, in; alignments out.

    With `bf16` the backbone computes in bfloat16; the head always keeps full precision. With a
    `grid` photos are its canvases, and the head sees the tokens of overview and tiles together.
    """

    def __init__(
        self, backbone: Backbone, head: Head, *, bf16: bool = False, grid: Grid | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.bf16 = bf16
        self.grid = grid

    def forward(self, inputs: Tensor | ImageFeatures) -> Alignment:
        """Pixels (B, 3, H, W) in 0..1, or features already computed by the backbone."""
        if isinstance(inputs, Tensor):
            inputs = self.encode(inputs)
        alignment: Alignment = self.head(inputs)
        return alignment

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Features in full precision, for heads: cosines times 20 need more than bfloat16 has."""
        device = self.head.text.device
        # Convolutions are a third quicker on processors with channels last.
        pixels = pixels.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16):
            features = encode_views(self.backbone.encode_image, pixels, self.grid)
        return features.at_precision(bf16=False)


@torch.no_grad()
def text_features(labels: Sequence[LabelSpec], backbone: Backbone) -> Tensor:
    """Unit text feature of each label (K, D): the mean over its prompts.

    A label without prompts gets a direction derived from its key, the same wherever it stands.
    """
    rows = [
        F.normalize(backbone.encode_text(list(label.prompts)).float(), dim=-1).mean(dim=0)
        if label.prompts
        else _direction_of(label.key, backbone.embed_dim)
        for label in labels
    ]
    return F.normalize(torch.stack([row.cpu() for row in rows]), dim=-1)


def _direction_of(key: str, dim: int) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:7])
    return torch.randn(dim, generator=torch.Generator().manual_seed(seed))

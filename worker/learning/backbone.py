"""Backbones: open_clip models that turn photos into patch tokens and sentences into vectors.

Tokens and text share one space. Heads, training and predictions are elsewhere; so are the sources
of weights (`sources.py`). Nothing here loads a pickle.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning.sources import (
    KIZU_SMALL,
    Source,
    UnsupportedBackbone,
    WeightsMissing,
    read_weights,
    resolve_source,
)

__all__ = [
    "Backbone",
    "ImageFeatures",
    "UnsupportedBackbone",
    "WeightsMissing",
    "load_backbone",
    "untrained",
]


@dataclass(frozen=True)
class ImageFeatures:
    """Patch tokens (B, L, D) in the joint space, not normalised, row by row; pooled (B, D)."""

    tokens: Tensor
    pooled: Tensor

    def at_precision(self, bf16: bool) -> "ImageFeatures":
        """Tokens as heads take them; pooled features keep full precision."""
        tokens = self.tokens.float()  # halves turn into bfloat16 twice as quickly over float32
        return ImageFeatures(tokens.bfloat16() if bf16 else tokens, self.pooled.float())


class Backbone(nn.Module):
    """An open_clip model behind one interface, whatever its towers are.

    `version` is a digest of architecture and weights: equal versions give equal features. `grid`
    is the rows and columns of tokens of a square photo of `image_size` pixels.
    """

    def __init__(self, model: nn.Module, tokenizer: Callable[..., Tensor], source: Source) -> None:
        super().__init__()
        self.model: Any = model  # its parts differ from model to model
        self._tokenizer = tokenizer
        self.name = source.name
        self.license = source.license
        self.default_mode = source.default_mode
        self.any_size = source.any_size
        self.mean, self.std = source.mean, source.std
        self.image_size = _square_side(model)
        self.embed_dim: int = source.config["embed_dim"]
        self.version = _digest(source.config, model.state_dict())
        self.grid = self._measure_grid()

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        """Features of (B, 3, H, W) in 0..1.

        Towers with learned positions see photos resized to `image_size`; kizu-small takes any size
        and returns ceil(H/8) * ceil(W/8) tokens.
        """
        side = self.image_size
        if not self.any_size and pixels.shape[-2:] != (side, side):
            pixels = F.interpolate(pixels, (side, side), mode="bicubic", antialias=True)
        mean = torch.tensor(self.mean, device=pixels.device)[:, None, None]
        std = torch.tensor(self.std, device=pixels.device)[:, None, None]
        return _features(self.model.visual, (pixels - mean) / std)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Text features (N, D), not normalised; what exceeds the context length is cut."""
        device = next(self.parameters()).device
        features: Tensor = self.model.encode_text(self._tokenizer(list(texts)).to(device))
        return features

    @torch.no_grad()
    def _measure_grid(self) -> tuple[int, int]:
        training = self.training
        self.eval()
        blank = torch.zeros(1, 3, self.image_size, self.image_size)
        count = self.encode_image(blank).tokens.shape[1]
        self.train(training)
        side = round(count**0.5)
        if side * side != count:
            raise UnsupportedBackbone(f"{self.name}: {count} tokens do not form a square")
        return side, side


def load_backbone(
    name: str, *, weights: Path | str | None = None, device: str | torch.device = "cpu"
) -> Backbone:
    """A backbone by name, in evaluation mode.

    `name` is `kizu-small` or an open_clip architecture. `weights` is a tag of open_clip
    (`laion2b_s34b_b88k`) or a safetensors file; `architecture@weights` says both in one name, and
    that is the name the result carries. Raises `WeightsMissing` where the weights cannot be had,
    `UnsupportedBackbone` where the architecture is unknown or gives no patch tokens.
    """
    source = resolve_source(name, weights)
    tensors = read_weights(source)
    model = _build(source)
    wrong = _load(model, tensors)
    if wrong:
        raise WeightsMissing(f"{source.name}: the file is not of this architecture ({wrong})")
    return Backbone(model, _tokenizer(source), source).eval().to(device)


def untrained(name: str = KIZU_SMALL, *, seed: int = 0) -> Backbone:
    """The architecture with random weights, the same under a seed: where training starts."""
    source = resolve_source(name, None, with_weights=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _build(source)
    return Backbone(model, _tokenizer(source), source).eval()


def _build(source: Source) -> nn.Module:
    """The open_clip model with random weights."""
    try:
        with _silence():
            model: nn.Module = open_clip.create_model(
                source.architecture, pretrained=None, force_quick_gelu=source.quick_gelu
            )
    except (RuntimeError, ImportError) as error:
        raise UnsupportedBackbone(f"{source.architecture}: {error}") from error
    return model


@contextmanager
def _silence() -> Iterator[None]:
    """open_clip warns of random weights, which we replace at once."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _load(model: nn.Module, tensors: dict[str, Tensor]) -> str:
    """Load float weights; returns what does not fit, in words, or nothing."""
    try:
        model.load_state_dict(
            {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
        )
    except RuntimeError as error:
        return str(error).splitlines()[1].strip()
    return ""


def _tokenizer(source: Source) -> Callable[..., Tensor]:
    if source.vocabulary is not None:
        length: int = source.config["text_cfg"]["context_length"]
        own: Callable[..., Tensor] = open_clip.SimpleTokenizer(
            str(source.vocabulary), context_length=length
        )
        return own
    try:
        tokenizer: Callable[..., Tensor] = open_clip.get_tokenizer(source.architecture)
    except ImportError as error:  # tokenizers of other language models are not installed
        raise UnsupportedBackbone(f"{source.architecture}: {error}") from error
    return tokenizer


def _square_side(model: Any) -> int:
    size = model.visual.image_size
    return int(size[0] if isinstance(size, tuple | list) else size)


def _digest(config: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _features(visual: nn.Module, pixels: Tensor) -> ImageFeatures:
    """Patch tokens in the joint space, the way this kind of tower can give them."""
    if isinstance(visual, VisionTransformer):
        return _vision_transformer(visual, pixels)
    if isinstance(visual, ModifiedResNet):
        return _modified_resnet(visual, pixels)
    if isinstance(visual, TimmModel):
        return _timm(visual, pixels)
    raise UnsupportedBackbone(f"no patch tokens from a tower of type {type(visual).__name__}")


def _vision_transformer(visual: VisionTransformer, pixels: Tensor) -> ImageFeatures:
    """Tokens go through the final norm and the projection that the class token goes through."""
    if visual.attn_pool is not None:
        raise UnsupportedBackbone("vision transformers with attentional pooling give no tokens")
    hidden = visual.transformer(visual._embeds(pixels))  # (B, 1 + L, C)
    pooled, tokens = visual._pool(hidden)
    if visual.final_ln_after_pool:
        tokens = visual.ln_post(tokens)
    if visual.proj is not None:
        pooled, tokens = pooled @ visual.proj, tokens @ visual.proj
    return ImageFeatures(tokens, pooled)


def _modified_resnet(visual: ModifiedResNet, pixels: Tensor) -> ImageFeatures:
    """The value and output projections of the attention pool at each place (MaskCLIP, 2022)."""
    hidden = visual.stem(pixels)
    for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        hidden = stage(hidden)
    pool = visual.attnpool
    places = hidden.flatten(2).transpose(1, 2)  # (B, L, C)
    return ImageFeatures(pool.c_proj(pool.v_proj(places)), pool(hidden))


def _timm(visual: TimmModel, pixels: Tensor) -> ImageFeatures:
    """What the tower's own pooling and projection make of each place as if it were alone."""
    hidden = visual.trunk.forward_features(pixels)
    pooled = visual.head(visual.trunk.forward_head(hidden))
    batch = hidden.shape[0]  # `len` would fix the batch of an exported graph
    if hidden.ndim == 4:  # (B, C, H, W)
        channels = hidden.shape[1]
        places = hidden.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)
    else:  # (B, prefix + L, C)
        patches = hidden[:, getattr(visual.trunk, "num_prefix_tokens", 0) :]
        places = patches.reshape(-1, 1, patches.shape[-1])
    tokens = visual.head(visual.trunk.forward_head(places))
    return ImageFeatures(tokens.unflatten(0, (batch, -1)), pooled)

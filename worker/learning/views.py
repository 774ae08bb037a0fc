"""Overview and tiles of large photos through a backbone, a bounded number at a time."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from worker.learning.backbone import ImageFeatures
from worker.learning.tiling import Grid

Encode = Callable[[Tensor], ImageFeatures]

# Views that go through a backbone together: what a training step keeps of them for its way back
# is the greatest part of its memory.
VIEWS_AT_ONCE = 112


def cut(canvas: Tensor, grid: Grid) -> Tensor:
    """Canvases (B, C, H, W) to (B * V, C, side, side): of each photo its overview, then its tiles
    row by row."""
    side = grid.side
    overview = F.interpolate(canvas, (side, side), mode="bilinear", antialias=True)
    tiles = [canvas[:, :, top : top + side, left : left + side] for top, left in grid.corners]
    return torch.stack([overview, *tiles], dim=1).flatten(0, 1)


def encode_views(encode: Encode, pixels: Tensor, grid: Grid | None) -> ImageFeatures:
    """Tokens (B, V * L, D) of overview and tiles, and the pooled feature (B, D) of the overview.

    Without tiles, the features of `pixels` (B, 3, H, W). More than 112 views go through the
    backbone in parts, each of whole photos; a training step then computes each part a second time
    on its way back instead of keeping what it made.
    """
    if grid is None or grid.views == 1:
        return encode(pixels)

    def encode_some(canvas: Tensor) -> ImageFeatures:
        features = encode(cut(canvas, grid).contiguous(memory_format=torch.channels_last))
        tokens = features.tokens.unflatten(0, (-1, grid.views)).flatten(1, 2)
        return ImageFeatures(tokens, features.pooled.unflatten(0, (-1, grid.views))[:, 0])

    # An exported graph takes batches of any size, and cannot part them by their number.
    if torch.compiler.is_exporting() or len(pixels) * grid.views <= VIEWS_AT_ONCE:
        return encode_some(pixels)
    parts = pixels.chunk(math.ceil(len(pixels) / grid.photos_within(VIEWS_AT_ONCE)))
    if torch.is_grad_enabled():
        found = [checkpoint(encode_some, part, use_reentrant=False) for part in parts]
    else:
        found = [encode_some(part) for part in parts]
    return ImageFeatures(
        torch.cat([one.tokens for one in found]), torch.cat([one.pooled for one in found])
    )

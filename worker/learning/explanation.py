"""Where a model sees a label: heat maps made of what each place says for it.

A map answers "why this suggestion?" and is small enough to be stored beside it. How often maps
are right is measured by `pointing.py`.
"""

import io
import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from worker.learning.aligner import Aligner
from worker.learning.grown import aligners_of
from worker.learning.tiling import Grid, Size

# Finer maps are pooled: 1,024 bytes a map at most, and no place larger than a person notices.
MOST_PLACES = 32


class Basis(StrEnum):
    """What a map is made of."""

    ATTENTION = "attention"  # where the label looks
    SPEECH = "speech"  # what each token says for it, looked at or not
    BOTH = "both"  # attention times speech: what each token adds to the label's score


@dataclass(frozen=True)
class HeatMaps:
    """`values` (N, K, G, G) bytes for photos and labels, row by row from the top left.

    255 is the strongest place of its own map, so maps say where and not how surely. All zeros: no
    place speaks for the label.
    """

    values: NDArray[np.uint8]

    def peaks(self) -> NDArray[np.float64]:
        """Centres (N, K, 2) of the strongest places: row and column as shares of the sides."""
        grid = self.values.shape[-1]
        flat = self.values.reshape(*self.values.shape[:2], -1).argmax(axis=-1)
        centres: NDArray[np.float64] = (np.stack(np.divmod(flat, grid), axis=-1) + 0.5) / grid
        return centres


def png(heat: NDArray[np.uint8]) -> bytes:
    """One map (G, G) as a grey PNG, to store or to lay over its photo."""
    file = io.BytesIO()
    Image.fromarray(heat).save(file, format="PNG", optimize=True)
    return file.getvalue()


@torch.inference_mode()
def heat_maps(
    head: nn.Module, tokens: Tensor, grid: Grid | None = None, basis: Basis = Basis.BOTH
) -> HeatMaps:
    """Maps of every label for the tokens (B, V * L, D) of whole photos, cut by `grid` or not.

    Maps are square however oblong the photo is. Raises `TypeError` for a head that does not look
    for each label by itself.
    """
    aligners = aligners_of(head)
    if not aligners:
        raise TypeError(f"{type(head).__name__} does not look for labels one by one")
    parts = [contributions(aligner, tokens, basis) for aligner in aligners]
    strength = torch.cat(parts, dim=1)  # (B, K, V * L)
    views = 1 if grid is None else grid.views
    side = math.isqrt(strength.shape[-1] // views)
    maps = strength.unflatten(-1, (views, side, side))
    maps = maps[:, :, 0] if grid is None or views == 1 else _stitched(maps, grid)
    if maps.shape[-1] > MOST_PLACES:
        maps = F.adaptive_max_pool2d(maps, MOST_PLACES)  # a peak stays a peak
    strongest = maps.amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)
    return HeatMaps((maps / strongest * 255).round().byte().cpu().numpy())


def _stitched(maps: Tensor, grid: Grid) -> Tensor:
    """Maps (B, K, V, G, G) of overview and tiles laid on one canvas, (B, K, 32, 32) of the photo.

    Where tiles overlap the stronger place counts. Overview and tiles add up, as they do in the
    score: within a coarse place of the overview the tiles decide where the peak is.
    """
    whole = _spread(maps[:, :, 0], grid.canvas)
    laid = torch.zeros_like(whole)
    for number, (top, left) in enumerate(grid.corners, start=1):
        there = laid[:, :, top : top + grid.side, left : left + grid.side]
        tile = _spread(maps[:, :, number], (grid.side, grid.side))
        there.copy_(torch.maximum(there, tile))
    return F.adaptive_max_pool2d(whole + laid, MOST_PLACES)


def _spread(maps: Tensor, size: Size) -> Tensor:
    """Maps at another size, each place strongest at its centre."""
    return F.interpolate(maps, size, mode="bilinear")


def contributions(head: Aligner, tokens: Tensor, basis: Basis) -> Tensor:
    """What tokens (B, L, D) do for each label, (B, K, L) of at least 0.

    The score of a label is, up to a positive factor of the photo and the bias, the sum over tokens
    of attention times what the token says for the label rather than for its negative. So a map of
    both is the score itself, taken apart; places that speak against the label count nothing.
    """
    tokens = tokens.to(head.text)
    tokens = F.normalize(tokens + head.adapter(tokens), dim=-1)
    attention = head.attention(tokens).transpose(1, 2)  # (B, K, L)
    if basis is Basis.ATTENTION:
        return attention
    answer = F.normalize(head.text + head.answer, dim=-1) - head.negative  # (K, D)
    speech = (tokens @ answer.T).transpose(1, 2).clamp_min(0)  # (B, K, L)
    return speech if basis is Basis.SPEECH else attention * speech

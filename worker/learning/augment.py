"""Image augmentation on whole batches of tensors: quick on two cores, the same under a seed.

Weak views turn and nudge a photo, strong views also change its light and hide small patches.
Views never crop deep: a defect that falls out of the picture would make its label wrong.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional as F

# One source of draws for a batch, or one for each of its photos.
Draws = torch.Generator | Sequence[torch.Generator]

BYTE_DEVIATION = math.sqrt((256**2 - 1) / 12)  # of 0 to 255, all alike


class Orientations(StrEnum):
    """Which turned and mirrored pictures show the same thing."""

    AUTO = "auto"  # any for square photos, mirrored for oblong ones; resolved before training
    ANY = "any"  # mirrored and turned by quarter turns: parts seen from above
    UPRIGHT = "upright"  # mirrored left to right only: scenes with a sky
    MIRRORED = "mirrored"  # mirrored both ways, never a quarter turn: oblong photos

    @property
    def variants(self) -> int:
        """How many pictures of a photo these are; unknown, so one, before `auto` is resolved."""
        return {"any": 8, "mirrored": 4, "upright": 2}.get(self, 1)


class View(StrEnum):
    PLAIN = "plain"
    WEAK = "weak"
    STRONG = "strong"


@dataclass(frozen=True)
class Augmentation:
    """How far views go; shares of the picture's side, or of the full range of grey."""

    orientations: Orientations = Orientations.AUTO
    shift: float = 0.06
    scale: float = 0.08
    brightness: float = 0.15
    contrast: float = 0.3
    gamma: float = 0.3
    noise: float = 0.04
    cutout: float = 0.15


def augment(pixels: Tensor, view: View, draws: Draws, how: Augmentation) -> Tensor:
    """One view of each photo; `pixels` and the result are (B, C, H, W) in 0..1."""
    if view is View.PLAIN:
        return pixels
    pixels = _move(pixels, draws, how)
    if view is View.STRONG:
        pixels = _relight(pixels, draws, how)
        pixels = _blur_some(pixels, draws)
        pixels = _add_noise(pixels, draws, how)
        pixels = _cut_out(pixels, draws, how)
    return pixels.clamp_(0, 1)


def usual_orientations(height: int, width: int) -> Orientations:
    """Oblong photos are not turned: squeezed into a square, they would show other shapes."""
    oblong = max(height, width) > 1.2 * min(height, width)
    return Orientations.MIRRORED if oblong else Orientations.ANY


def plain_views(pixels: Tensor, orientations: Orientations, count: int) -> list[Tensor]:
    """The first `count` orientations of a batch, the photo itself first; for averaging."""
    views = [pixels, pixels.flip(3)]
    if orientations is not Orientations.UPRIGHT:
        views += [pixels.flip(2), pixels.flip((2, 3))]
    if orientations is Orientations.ANY:
        views += [view.transpose(2, 3) for view in views]
    return views[:count]


def _uniform(pixels: Tensor, low: float, high: float, draws: Draws) -> Tensor:
    """One number for each photo (B, 1, 1, 1), beside them; drawn alike for all devices."""
    drawn = _drawn(torch.rand, draws, len(pixels)).to(pixels.device)
    return (low + (high - low) * drawn)[:, None, None, None]


def _drawn(draw: Callable[..., Tensor], draws: Draws, count: int, *shape: int) -> Tensor:
    """(count, *shape), an entry for each photo."""
    if isinstance(draws, torch.Generator):
        return draw((count, *shape), generator=draws)
    return torch.stack([draw(shape, generator=own) for own in draws])


def _coins(count: int, draws: Draws) -> Tensor:
    """Three yes or no for each photo, (3, count)."""
    if isinstance(draws, torch.Generator):
        return torch.randint(0, 2, (3, count), generator=draws).bool()
    return torch.stack([torch.randint(0, 2, (3,), generator=own) for own in draws], dim=1).bool()


def _move(pixels: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """A random allowed orientation, shifted and scaled a little; the border is mirrored in."""
    count, _, height, width = pixels.shape
    mirrored, upended, transposed = _coins(count, draws)
    if how.orientations is Orientations.UPRIGHT:
        upended = torch.zeros_like(upended)
    scale = 1 + how.scale * (2 * _drawn(torch.rand, draws, count) - 1)
    shift = (_drawn(torch.rand, draws, count, 2) - 0.5) * 2 * how.shift
    along, down = shift.unbind(dim=1)
    moved = _resample(pixels, _rows(height, scale, down, upended))
    # Columns as the rows of the picture on its side: whole rows are what memory copies quickly.
    sideways = _resample(moved.mT, _rows(width, scale, along, mirrored))
    if how.orientations is not Orientations.ANY:
        return sideways.mT.contiguous()
    return torch.where(transposed.to(pixels.device)[:, None, None, None], sideways, sideways.mT)


def _rows(size: int, scale: Tensor, shift: Tensor, reverse: Tensor) -> Tensor:
    """(B, size): which row, and share of the next, each row of a moved picture is taken from;
    `scale`, `shift` (of the picture's side) and `reverse` are (B,)."""
    centred = torch.arange(size) - (size - 1) / 2
    at = centred * scale[:, None] + size * shift[:, None]
    at = at * (1 - 2 * reverse.float())[:, None] + (size - 1) / 2
    # Mirrored at the border's outer edge, so that its row comes twice.
    at = (at + 0.5).remainder(2 * size)
    return (torch.minimum(at, 2 * size - at) - 0.5).clamp(0, size - 1)


def _resample(pixels: Tensor, at: Tensor) -> Tensor:
    """Linear interpolation of (B, C, H, W) between the rows `at` (B, H)."""
    count, channels, height, width = pixels.shape
    at = at.to(pixels.device)
    above = at.long()
    first = torch.arange(count * channels, device=pixels.device).view(count, channels, 1) * height
    rows = pixels.reshape(-1, width)
    upper = rows.index_select(0, (first + above[:, None]).flatten())
    lower = rows.index_select(0, (first + (above[:, None] + 1).clamp(max=height - 1)).flatten())
    share = (at - above)[:, None].expand(-1, channels, -1).reshape(-1, 1)
    return upper.lerp_(lower, share).view_as(pixels)


def _relight(pixels: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    gamma = _uniform(pixels, -how.gamma, how.gamma, draws).exp()
    contrast = _uniform(pixels, -how.contrast, how.contrast, draws).exp()
    brightness = _uniform(pixels, -how.brightness, how.brightness, draws)
    # In place: what a view costs is the memory that it goes through.
    lit = pixels.clamp(1e-4, 1).log_().mul_(gamma).exp_()
    mean = lit.mean(dim=(1, 2, 3), keepdim=True)
    return lit.sub_(mean).mul_(contrast).add_(mean + brightness)


def _blur_some(pixels: Tensor, draws: Draws) -> Tensor:
    """Three by three binomial blur on every fourth photo or so."""
    some = torch.nonzero(_drawn(torch.rand, draws, len(pixels)) < 0.25).flatten().to(pixels.device)
    padded = F.pad(pixels[some], (1, 1, 1, 1), mode="replicate")
    # By rows, then by columns: a convolution of one channel takes twice as long.
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    blurred = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16
    return pixels.index_copy_(0, some, blurred)


def _add_noise(pixels: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    strength = _uniform(pixels, 0, how.noise / BYTE_DEVIATION, draws)
    noise = _drawn(_noise_on(pixels.device), draws, *pixels.shape)
    return pixels.addcmul_(noise, strength)


def _noise_on(device: torch.device) -> Callable[..., Tensor]:
    """Bytes around zero, all alike, eight from a draw: normal numbers take several times as long.
    Drawn where they are used: one for each pixel is much to carry over."""

    def noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        if device.type == "cuda":
            seed = int(torch.randint(2**62, (), generator=generator))
            generator = torch.Generator(device).manual_seed(seed)
        count = math.prod(shape)
        words = torch.empty(-(-count // 8), dtype=torch.int64, device=generator.device)
        drawn = words.random_(-(2**63), None, generator=generator).view(torch.uint8)
        return drawn[:count].view(shape).to(device).float().sub_(127.5)

    return noise


def _cut_out(pixels: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """One grey square on every second photo, its side up to `cutout` of the photo's."""
    height, width = pixels.shape[-2:]
    side = _uniform(pixels, 0, how.cutout, draws)
    side = side * (_uniform(pixels, 0, 1, draws) < 0.5)
    row = torch.linspace(0, 1, height, device=pixels.device)[None, None, :, None]
    column = torch.linspace(0, 1, width, device=pixels.device)[None, None, None, :]
    top, left = _uniform(pixels, 0, 1, draws), _uniform(pixels, 0, 1, draws)
    inside = ((row - top).abs() < side / 2) & ((column - left).abs() < side / 2)
    return torch.where(inside, pixels.mean(dim=(1, 2, 3), keepdim=True), pixels)

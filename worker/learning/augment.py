"""Image augmentation on whole batches of tensors: quick on two cores, the same under a seed.

Weak views turn and nudge a photo, strong views also change its light and hide small patches.
Views never crop deep: a defect that falls out of the picture would make its label wrong.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional as F


class Orientations(StrEnum):
    """Which turned and mirrored pictures show the same thing."""

    AUTO = "auto"  # any for square photos, mirrored for oblong ones; resolved before training
    ANY = "any"  # mirrored and turned by quarter turns: parts seen from above
    UPRIGHT = "upright"  # mirrored left to right only: scenes with a sky
    MIRRORED = "mirrored"  # mirrored both ways, never a quarter turn: oblong photos


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


def augment(pixels: Tensor, view: View, generator: torch.Generator, how: Augmentation) -> Tensor:
    """One view of each photo; `pixels` and the result are (B, C, H, W) in 0..1."""
    if view is View.PLAIN:
        return pixels
    pixels = orient(pixels, generator, how.orientations)
    pixels = _nudge(pixels, generator, how)
    if view is View.STRONG:
        pixels = _relight(pixels, generator, how)
        pixels = _blur_some(pixels, generator)
        pixels = _add_noise(pixels, generator, how)
        pixels = _cut_out(pixels, generator, how)
    return pixels.clamp(0, 1)


def usual_orientations(height: int, width: int) -> Orientations:
    """Oblong photos are not turned: squeezed into a square, they would show other shapes."""
    oblong = max(height, width) > 1.2 * min(height, width)
    return Orientations.MIRRORED if oblong else Orientations.ANY


def orient(pixels: Tensor, generator: torch.Generator, orientations: Orientations) -> Tensor:
    """A random allowed orientation for each photo of (B, C, H, W)."""
    draw = torch.randint(0, 2, (3, len(pixels)), generator=generator).bool()
    pixels = _where(draw[0], pixels.flip(3), pixels)
    if orientations is not Orientations.UPRIGHT:
        pixels = _where(draw[1], pixels.flip(2), pixels)
    if orientations is Orientations.ANY:
        pixels = _where(draw[2], pixels.transpose(2, 3), pixels)
    return pixels


def plain_views(pixels: Tensor, orientations: Orientations, count: int) -> list[Tensor]:
    """The first `count` orientations of a batch, the photo itself first; for averaging."""
    views = [pixels, pixels.flip(3)]
    if orientations is not Orientations.UPRIGHT:
        views += [pixels.flip(2), pixels.flip((2, 3))]
    if orientations is Orientations.ANY:
        views += [view.transpose(2, 3) for view in views]
    return views[:count]


def _where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(condition[:, None, None, None], yes, no)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(count, 1, 1, 1), to be broadcast over a batch."""
    return (low + (high - low) * torch.rand(count, generator=generator))[:, None, None, None]


def _nudge(pixels: Tensor, generator: torch.Generator, how: Augmentation) -> Tensor:
    """Shift and scale a little; the border is mirrored in."""
    count, _, height, width = pixels.shape
    scale = _uniform(count, 1 - how.scale, 1 + how.scale, generator).view(count)
    shift = (torch.rand(count, 2, generator=generator) - 0.5) * 4 * how.shift  # grid spans 2
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, [count, 1, height, width], align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def _relight(pixels: Tensor, generator: torch.Generator, how: Augmentation) -> Tensor:
    count = len(pixels)
    gamma = _uniform(count, -how.gamma, how.gamma, generator).exp()
    contrast = _uniform(count, -how.contrast, how.contrast, generator).exp()
    brightness = _uniform(count, -how.brightness, how.brightness, generator)
    pixels = pixels.clamp(1e-4, 1) ** gamma
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    return (pixels - mean) * contrast + mean + brightness


def _blur_some(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Three by three binomial blur on every fourth photo or so."""
    channels = pixels.shape[1]
    line = torch.tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(line, line).expand(channels, 1, 3, 3)
    blurred = F.conv2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels)
    return _where(torch.rand(len(pixels), generator=generator) < 0.25, blurred, pixels)


def _add_noise(pixels: Tensor, generator: torch.Generator, how: Augmentation) -> Tensor:
    strength = _uniform(len(pixels), 0, how.noise, generator)
    return pixels + strength * torch.randn(pixels.shape, generator=generator)


def _cut_out(pixels: Tensor, generator: torch.Generator, how: Augmentation) -> Tensor:
    """One grey square on every second photo, its side up to `cutout` of the photo's."""
    count, _, height, width = pixels.shape
    side = _uniform(count, 0, how.cutout, generator)
    side = side * (_uniform(count, 0, 1, generator) < 0.5)
    row = torch.linspace(0, 1, height)[None, None, :, None]
    column = torch.linspace(0, 1, width)[None, None, None, :]
    top, left = _uniform(count, 0, 1, generator), _uniform(count, 0, 1, generator)
    inside = ((row - top).abs() < side / 2) & ((column - left).abs() < side / 2)
    return torch.where(inside, pixels.mean(dim=(1, 2, 3), keepdim=True), pixels)

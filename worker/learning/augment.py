"""Image augmentation on whole batches of tensors: quick on two cores, the same under a seed.

Weak views turn and nudge a photo, strong views also change its light and hide small patches.
Views never crop deep: a defect that falls out of the picture would make its label wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional as F

# One source of draws for a batch, or one for each of its photos.
Draws = torch.Generator | Sequence[torch.Generator]


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
    """A random allowed orientation, shifted and scaled a little, in one sampling of each photo; the
    border is mirrored in."""
    count, _, height, width = pixels.shape
    turned = _orientation(count, draws, how.orientations)
    scale = 1 + how.scale * (2 * _drawn(torch.rand, draws, count) - 1)
    shift = (_drawn(torch.rand, draws, count, 2) - 0.5) * 4 * how.shift  # grid spans 2
    theta = torch.cat([turned * scale[:, None, None], turned @ shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta.to(pixels), [count, 1, height, width], align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def _orientation(count: int, draws: Draws, orientations: Orientations) -> Tensor:
    """For each photo a matrix (count, 2, 2) from where a pixel lies to where it is taken from."""
    mirrored, upended, transposed = _coins(count, draws).float()
    if orientations is Orientations.UPRIGHT:
        upended = torch.zeros(count)
    signs = torch.diag_embed(torch.stack([1 - 2 * mirrored, 1 - 2 * upended], dim=1))
    if orientations is not Orientations.ANY:
        return signs
    swapped = signs.flip(2)
    return torch.where(transposed.bool()[:, None, None], swapped, signs)


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
    return pixels.index_copy(0, some, blurred)


def _add_noise(pixels: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    strength = _uniform(pixels, 0, how.noise, draws)
    noise = _drawn(_noise_on(pixels.device), draws, *pixels.shape)
    return noise.mul_(strength).add_(pixels)


def _noise_on(device: torch.device) -> Callable[..., Tensor]:
    """White noise, drawn where it is used: a number for each pixel is much to carry over."""

    def noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        if device.type != "cuda":
            return torch.randn(shape, generator=generator).to(device)
        seed = int(torch.randint(2**62, (), generator=generator))
        return torch.randn(
            shape, generator=torch.Generator(device).manual_seed(seed), device=device
        )

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

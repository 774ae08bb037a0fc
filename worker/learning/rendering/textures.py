"""Random fields that everything rendered is made of: noise at a scale, ragged shapes, blur.

Arrays are float32, (H, W) or (H, W, 3), in 0..1 unless said otherwise.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Field = NDArray[np.float32]
Mask = NDArray[np.float32]
Points = list[tuple[float, float]]
RNG = np.random.Generator


def smooth_noise(rng: RNG, size: int, cells: int | tuple[int, int]) -> Field:
    """Noise in -1..1 with about `cells` bumps a side, or (rows, columns) of them."""
    rows, columns = (cells, cells) if isinstance(cells, int) else cells
    grid = rng.random((max(rows, 2), max(columns, 2)), dtype=np.float32) * 2 - 1
    image = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def fractal_noise(rng: RNG, size: int, cells: int, octaves: int = 3) -> Field:
    """Sum of octaves, each twice as fine and half as strong; about -1..1."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        total += smooth_noise(rng, size, min(cells << octave, size)) * np.float32(0.5**octave)
    return total / np.float32(1.5)


def grain(rng: RNG, size: int) -> Field:
    """White noise with a standard deviation of 1 at every pixel."""
    # A rolled slice of a fixed sheet: drawing a fresh normal for each pixel would cost the most.
    row, column = rng.integers(0, _SHEET.shape[0] - size, 2)
    patch = _SHEET[row : row + size, column : column + size]
    return patch[:: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))]


_SHEET: Field = np.random.default_rng(20261124).standard_normal((1024, 1024), dtype=np.float32)


def colour(rng: RNG, palette: tuple[tuple[int, int, int], ...], spread: float = 0.06) -> Field:
    """A colour (3,) near one of the palette's, which is given in 0..255."""
    base = np.array(palette[int(rng.integers(len(palette)))], np.float32) / 255
    return (base + rng.normal(0, spread, 3)).astype(np.float32)


def polygon(
    rng: RNG,
    centre: tuple[float, float],
    radius: float,
    *,
    roughness: float = 0.35,
    aspect: float = 1.0,
    angle: float = 0.0,
    corners: int = 11,
) -> Points:
    """A ragged closed outline around `centre` (x, y); its mean radius is `radius` pixels."""
    turns = np.linspace(0, 2 * math.pi, corners, endpoint=False)
    radii = radius * (1 + roughness * (rng.random(corners) * 2 - 1))
    along, across = radii * np.cos(turns) * aspect**0.5, radii * np.sin(turns) / aspect**0.5
    x = centre[0] + along * math.cos(angle) - across * math.sin(angle)
    y = centre[1] + along * math.sin(angle) + across * math.cos(angle)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def walk(
    rng: RNG, start: tuple[float, float], angle: float, length: float, *, steps: int, wander: float
) -> Points:
    """A polyline of `length` pixels that changes its course by about `wander` radians a step."""
    angles = angle + np.cumsum(rng.normal(0, wander, steps))
    x = start[0] + np.cumsum(np.cos(angles)) * length / steps
    y = start[1] + np.cumsum(np.sin(angles)) * length / steps
    return [start, *zip(x.tolist(), y.tolist(), strict=True)]


class Stencil:
    """A drawing surface at twice the size, for soft-edged masks (size, size) in 0..1."""

    def __init__(self, size: int) -> None:
        self._image = Image.new("L", (2 * size, 2 * size))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Points, fill: int = 255) -> "Stencil":
        self._draw.polygon([(2 * x, 2 * y) for x, y in points], fill=fill)
        return self

    def line(self, points: Points, width: float, fill: int = 255) -> "Stencil":
        doubled = [(2 * x, 2 * y) for x, y in points]
        self._draw.line(doubled, fill=fill, width=max(round(2 * width), 1), joint="curve")
        return self

    def disc(self, centre: tuple[float, float], radius: float, fill: int = 255) -> "Stencil":
        x, y, r = 2 * centre[0], 2 * centre[1], 2 * radius
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        return self

    def mask(self, blur: float = 0.0) -> Mask:
        image = self._image.reduce(2)
        if blur > 0:
            image = image.filter(ImageFilter.GaussianBlur(blur))
        return np.asarray(image, dtype=np.float32) / np.float32(255)


def box_blur(field: Field, radius: float) -> Field:
    """Mean over a square of about 2 * radius + 1 pixels a side; of a field in 0..1."""
    image = Image.fromarray((np.clip(field, 0, 1) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius)), np.float32) / np.float32(255)


def emboss(height: Field, angle: float) -> Field:
    """Light from `angle` on a height field: the slope towards the light, in height a pixel."""
    down, right = np.gradient(height)
    return np.asarray(math.cos(angle) * right + math.sin(angle) * down, np.float32)

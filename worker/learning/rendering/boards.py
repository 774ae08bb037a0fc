"""Copper boards: artwork of traces, pads and pours, and the six ways in which it goes wrong.

Artwork is a mask (S, S), 255 where copper is, drawn at twice the size of the final picture. A gap
is a bridge in the negative, a bite a spur, a pin hole an island: one painter serves two kinds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from worker.learning.rendering.textures import (
    RNG,
    Field,
    Mask,
    Points,
    box_blur,
    colour,
    fractal_noise,
    polygon,
    smooth_noise,
)

Art = NDArray[np.uint8]
Spot = tuple[float, float, float, float]  # x, y and the unit normal that points off the copper
SUBSTRATES = ((20, 80, 45), (15, 60, 90), (60, 45, 25), (25, 30, 30), (110, 25, 30))
COPPERS = ((200, 140, 70), (215, 190, 110), (190, 190, 185), (60, 150, 90))


@dataclass
class Board:
    """Artwork in the making: traces leave room for what comes next to them."""

    size: int  # of the artwork: twice that of the picture
    unit: float  # width of a usual trace
    image: Image.Image = field(init=False)
    draw: ImageDraw.ImageDraw = field(init=False)
    pads: list[tuple[float, float, float, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.image = Image.new("L", (self.size, self.size))
        self.draw = ImageDraw.Draw(self.image)

    def disc(self, x: float, y: float, radius: float, fill: int) -> None:
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def trace(self, points: Points, width: float, fill: int = 255) -> None:
        self.draw.line(points, fill=fill, width=max(round(width), 1), joint="curve")
        for x, y in (points[0], points[-1]):
            self.disc(x, y, width / 2, fill)

    def pad(self, rng: RNG, x: float, y: float, *, fill: int = 255) -> None:
        """Round, square or oblong; round ones may have a drill hole."""
        radius = self.unit * rng.uniform(1.2, 3.2)
        shape = rng.random()
        if shape < 0.6:
            self.disc(x, y, radius, fill)
            drilled = bool(rng.random() < 0.55)
            if drilled:
                self.disc(x, y, radius * 0.45, 255 - fill)
            if fill == 255:
                self.pads.append((x, y, radius * 0.45, drilled))
        else:
            across = radius * (1 if shape < 0.8 else rng.uniform(0.4, 1.0))
            self.draw.rectangle((x - radius, y - across, x + radius, y + across), fill=fill)


def artwork(rng: RNG, size: int, zoom: float) -> Board:
    """A board whose usual trace is about `zoom` picture pixels wide; `size` of the picture."""
    board = Board(2 * size, max(2 * zoom * rng.uniform(0.7, 1.4), 3.0))
    layouts: tuple[Callable[[RNG, Board], None], ...] = (_bus, _pour, _bus, _pads, _bus, _pour)
    for index in rng.permutation(len(layouts))[: int(rng.choice((1, 1, 1, 2, 2, 3)))]:
        layouts[index](rng, board)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0, board.size, 2)
        board.pad(rng, float(x), float(y))
    if rng.random() < 0.5:
        board.image = board.image.rotate(90)
        board.pads = [(y, board.size - x, r, drilled) for x, y, r, drilled in board.pads]
    return board


def _bus(rng: RNG, board: Board) -> None:
    """Parallel traces that run across, with bends of 45 degrees, some ending in pads."""
    width = board.unit * rng.uniform(0.5, 1.6)
    pitch = width * rng.uniform(2.0, 6.0)
    bend, slant = rng.uniform(0.2, 0.8) * board.size, float(rng.choice((-1, 0, 0, 1)))
    level, reach = rng.uniform(-0.2, 0.8) * board.size, rng.uniform(0.1, 0.4) * board.size
    for index in range(int(rng.integers(1, 9))):
        y = level + index * pitch
        x = bend + index * pitch * 0.41 * slant
        points = [(-9.0, y), (x, y), (x + reach, y + slant * reach)]
        end = (board.size + 9.0, y + slant * reach)
        if rng.random() < 0.25:
            end = (float(rng.uniform(0.5, 0.95) * board.size), end[1])
            board.pad(rng, *end)
        board.trace([*points, end], width)


def _pour(rng: RNG, board: Board) -> None:
    """A large copper area with cleared slots, pads and traces inside."""
    x0, y0 = rng.uniform(-0.3, 0.6, 2) * board.size
    x1, y1 = x0 + rng.uniform(0.25, 0.9) * board.size, y0 + rng.uniform(0.25, 0.9) * board.size
    cut = rng.uniform(0, 0.25) * min(x1 - x0, y1 - y0)
    board.draw.polygon(
        [(x0 + cut, y0), (x1, y0), (x1, y1 - cut), (x1 - cut, y1), (x0, y1), (x0, y0 + cut)],
        fill=255,
    )
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        if rng.random() < 0.5:
            board.pad(rng, x, y, fill=0)
        else:
            far = (x + rng.uniform(-0.5, 0.5) * board.size, y)
            board.trace([(x, y), far], board.unit * 2.6, fill=0)
            board.trace([(x, y), far], board.unit)


def _pads(rng: RNG, board: Board) -> None:
    """A row or a grid of equal pads, at times wired."""
    pitch = board.unit * rng.uniform(4, 8)
    x0, y0 = rng.uniform(0, 0.5, 2) * board.size
    wired, rows = rng.random() < 0.5, int(rng.integers(1, 4))
    for row in range(rows):
        for column in range(int(rng.integers(2, 6))):
            x, y = float(x0 + column * pitch), float(y0 + row * pitch * 1.3)
            if wired:
                board.trace([(x, y), (x, y + rng.uniform(-2, 2) * pitch)], board.unit * 0.8)
            board.pad(rng, x, y)


def _soft(art: Art, radius: float) -> Field:
    return box_blur(art.astype(np.float32) / np.float32(255), radius)


def _spots(rng: RNG, art: Art, count: int) -> list[Spot]:
    """Random places on the outline of the copper, away from the border, with their normals."""
    soft = _soft(art, 3)
    margin = art.shape[0] // 16
    edge = (art > 127) & (soft < 0.8) & (soft > 0.2)
    edge[:margin] = edge[-margin:] = edge[:, :margin] = edge[:, -margin:] = False
    candidates = np.flatnonzero(edge)
    if not len(candidates):
        return []
    spots = []
    for flat in rng.choice(candidates, count):
        y, x = divmod(int(flat), art.shape[1])
        right = float(soft[y, x + 2] - soft[y, x - 2])
        down = float(soft[y + 2, x] - soft[y - 2, x])
        norm = math.hypot(right, down)
        if norm > 0.1:
            spots.append((float(x), float(y), -right / norm, -down / norm))
    return spots


def _gap_width(art: Art, spot: Spot, limit: float) -> float | None:
    """How far it is from the outline across the open ground to the next copper, in pixels."""
    x, y, right, down = spot
    steps = np.arange(3, limit + 3)
    columns, rows = (x + right * steps).astype(int), (y + down * steps).astype(int)
    inside = (columns >= 0) & (rows >= 0) & (columns < art.shape[1]) & (rows < art.shape[0])
    hits = np.flatnonzero(art[rows[inside], columns[inside]] > 127)
    return float(steps[hits[0]]) if len(hits) else None


def _bridge(rng: RNG, art: Art, scale: float) -> Image.Image | None:
    """A strip from one piece of copper to the next."""
    for spot in _spots(rng, art, 12):
        gap = _gap_width(art, spot, limit=art.shape[0] * 0.14)
        if gap is None or gap < 4:
            continue
        x, y, right, down = spot
        stamp = Image.new("L", art.shape[::-1])
        lean = rng.normal(0, 0.15) * gap
        start = (x - right * 2, y - down * 2)
        end = (x + right * (gap + 2) - down * lean, y + down * (gap + 2) + right * lean)
        draw = ImageDraw.Draw(stamp)
        draw.line([start, end], fill=255, width=max(round(scale * rng.uniform(0.5, 1.3)), 3))
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        draw.polygon(polygon(rng, middle, max(scale * rng.uniform(0.3, 0.6), 2.5)), fill=255)
        return stamp
    return None


def _bump(rng: RNG, art: Art, scale: float) -> Image.Image | None:
    """A blob on the outline that reaches into the open ground but not across it."""
    for spot in _spots(rng, art, 12):
        x, y, right, down = spot
        radius = scale * rng.uniform(0.5, 0.9)
        gap = _gap_width(art, spot, limit=radius * 4)
        if gap is not None and gap < radius * 2.2:
            continue
        stamp = Image.new("L", art.shape[::-1])
        out = radius * rng.uniform(0.2, 0.7)
        shape = polygon(
            rng,
            (x + right * out, y + down * out),
            radius,
            aspect=rng.uniform(1, 2.4),
            angle=math.atan2(down, right),
        )
        ImageDraw.Draw(stamp).polygon(shape, fill=255)
        return stamp
    return None


def _speck(rng: RNG, art: Art, scale: float) -> Image.Image | None:
    """A blob in open ground, touching nothing."""
    radius = scale * rng.uniform(0.45, 0.9)
    free = _soft(art, radius * 1.6) < 0.01
    margin = art.shape[0] // 16
    free[:margin] = free[-margin:] = free[:, :margin] = free[:, -margin:] = False
    candidates = np.flatnonzero(free)
    if not len(candidates):
        return None
    y, x = divmod(int(rng.choice(candidates)), art.shape[1])
    stamp = Image.new("L", art.shape[::-1])
    shape = polygon(rng, (x, y), radius, aspect=rng.uniform(1, 2), angle=rng.uniform(0, math.pi))
    ImageDraw.Draw(stamp).polygon(shape, fill=255)
    return stamp


# Each kind: its painter, and whether it adds copper or takes it away.
_WAYS: dict[str, tuple[Callable[[RNG, Art, float], Image.Image | None], bool]] = {
    "short": (_bridge, True),
    "spur": (_bump, True),
    "island": (_speck, True),
    "open": (_bridge, False),
    "mouse_bite": (_bump, False),
    "pinhole": (_speck, False),
}
BOARD_KINDS = (*_WAYS, "missing_hole")


def spoil(rng: RNG, board: Board, art: Art, kind: str, scale: float) -> tuple[Art, Mask] | None:
    """The artwork with one more defect of `scale` artwork pixels, and the defect's mask.

    None where the artwork offers no place for it.
    """
    if kind == "missing_hole":
        return _fill_hole(rng, board, art)
    painter, adds = _WAYS[kind]
    stamp = painter(rng, art if adds else 255 - art, scale)
    if stamp is None:
        return None
    stamped = np.asarray(stamp)
    changed = stamped if adds else 255 - stamped
    spoiled = np.maximum(art, changed) if adds else np.minimum(art, changed)
    return spoiled, (spoiled != art).astype(np.float32)


def _fill_hole(rng: RNG, board: Board, art: Art) -> tuple[Art, Mask] | None:
    drilled = [
        (x, y, r)
        for x, y, r, open_ in board.pads
        if open_ and 0 < x < board.size and 0 < y < board.size
    ]
    if not drilled:
        return None
    x, y, radius = drilled[int(rng.integers(len(drilled)))]
    filled = Image.fromarray(art)
    ImageDraw.Draw(filled).ellipse(
        (x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1), fill=255
    )
    spoiled = np.asarray(filled)
    return spoiled, (spoiled != art).astype(np.float32)


def etched(rng: RNG, art: Art) -> Art:
    """The same artwork with the slightly ragged outline that etching and thresholds leave."""
    soft = np.asarray(Image.fromarray(art).filter(ImageFilter.BoxBlur(1)), np.float32)
    rough = smooth_noise(rng, len(art), len(art) // 3) * np.float32(rng.uniform(0, 60))
    return np.where(soft + rough > 127, np.uint8(255), np.uint8(0))


def line_art(rng: RNG, art: Art) -> Field:
    """Black and white, as inspection machines store it: copper dark, more often than not."""
    copper = _reduced(art)
    dark, light = rng.uniform(0, 0.12), rng.uniform(0.88, 1)
    if rng.random() < 0.12:
        dark, light = light, dark
    shade = np.float32(light) + copper * np.float32(dark - light)
    return np.repeat(shade[..., None], 3, axis=2)


def board_photo(rng: RNG, art: Art) -> Field:
    """Copper on a coloured substrate, unevenly bright."""
    copper = _reduced(art)[..., None]
    size = len(copper)
    ground = colour(rng, SUBSTRATES) + (fractal_noise(rng, size, 6) * np.float32(0.04))[..., None]
    metal = (
        colour(rng, COPPERS) + (smooth_noise(rng, size, size // 3) * np.float32(0.05))[..., None]
    )
    return (ground * (1 - copper) + metal * copper).astype(np.float32)


def _reduced(art: Art) -> Field:
    return np.asarray(Image.fromarray(art).reduce(2), np.float32) / np.float32(255)

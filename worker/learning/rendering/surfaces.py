"""Factory surfaces without defects: texture and colour of a dozen materials.

A material paints (size, size, 3) in about 0..1; light and camera come later (`camera.py`).
"""

import math
from collections.abc import Callable

import numpy as np

from worker.learning.rendering.textures import (
    RNG,
    Field,
    Stencil,
    box_blur,
    colour,
    emboss,
    fractal_noise,
    grain,
    smooth_noise,
)

Palette = tuple[tuple[int, int, int], ...]
METAL: Palette = ((150, 152, 156), (185, 186, 190), (110, 112, 118), (170, 160, 140))
PAINT: Palette = (
    (190, 40, 40),
    (40, 70, 160),
    (230, 230, 228),
    (40, 110, 60),
    (235, 190, 40),
    (60, 60, 64),
)
PLASTIC: Palette = ((30, 30, 34), (220, 220, 215), (90, 110, 140), (200, 90, 50), (120, 160, 90))
CLOTH: Palette = ((200, 195, 180), (70, 90, 130), (130, 60, 60), (90, 95, 90), (40, 40, 50))
TIMBER: Palette = ((176, 130, 84), (140, 95, 60), (205, 170, 120), (110, 72, 45))
STONE: Palette = ((165, 163, 158), (140, 138, 132), (185, 180, 170))
TAR: Palette = ((95, 95, 97), (120, 118, 115), (75, 76, 80))
PANE: Palette = ((170, 190, 195), (140, 165, 160), (200, 208, 210))
DARK: Palette = ((40, 40, 42), (55, 54, 56), (30, 32, 34))
HIDE: Palette = ((110, 70, 45), (60, 45, 40), (150, 110, 80), (30, 28, 28))


def _flat(rng: RNG, size: int, palette: Palette) -> Field:
    spread = 0.02 if palette is METAL else 0.06  # metals are grey, paint has any colour
    return np.broadcast_to(colour(rng, palette, spread), (size, size, 3)).copy()


def _mottled(rng: RNG, size: int, palette: Palette, strength: float, cells: int) -> Field:
    noise = fractal_noise(rng, size, cells) * np.float32(strength)
    return _flat(rng, size, palette) + noise[..., None]


def brushed(rng: RNG, size: int) -> Field:
    """Parallel grooves, straight along one axis."""
    lines = smooth_noise(rng, size, (size, int(rng.integers(2, 6))))
    lines = lines if rng.random() < 0.5 else lines.T
    return _flat(rng, size, METAL) + (lines * np.float32(rng.uniform(0.03, 0.12)))[..., None]


def cast(rng: RNG, size: int) -> Field:
    """A rough skin, lit from the side."""
    bumps = emboss(fractal_noise(rng, size, size // 8), rng.uniform(0, 2 * math.pi))
    return (
        _mottled(rng, size, METAL, 0.06, 3) + (bumps * np.float32(rng.uniform(0.1, 0.3)))[..., None]
    )


def painted(rng: RNG, size: int) -> Field:
    return _mottled(rng, size, PAINT, rng.uniform(0.0, 0.04), 3)


def plastic(rng: RNG, size: int) -> Field:
    fine = emboss(smooth_noise(rng, size, size // 3), 0.8) * np.float32(rng.uniform(0, 0.06))
    return _mottled(rng, size, PLASTIC, 0.02, 2) + fine[..., None]


def woven(rng: RNG, size: int) -> Field:
    """Warp and weft of a few pixels a thread."""
    pitch = rng.uniform(3, 8)
    line = np.arange(size, dtype=np.float32) * np.float32(2 * math.pi / pitch)
    weave: Field = np.sin(line)[:, None] * np.sin(line)[None, :]
    noise = smooth_noise(rng, size, size // 3) * np.float32(0.05)
    return (
        _flat(rng, size, CLOTH) + (weave * np.float32(rng.uniform(0.04, 0.15)) + noise)[..., None]
    )


def wood(rng: RNG, size: int) -> Field:
    """Rings stretched along the grain."""
    rings = smooth_noise(rng, size, (int(rng.integers(5, 14)), 2)) * np.float32(4)
    figure: Field = np.sin(rings * 4) * np.float32(rng.uniform(0.03, 0.08))
    pores = smooth_noise(rng, size, (size, 5)) * np.float32(0.05)
    field = figure + pores
    return _flat(rng, size, TIMBER) + (field if rng.random() < 0.5 else field.T)[..., None]


def concrete(rng: RNG, size: int) -> Field:
    noise = grain(rng, size) * np.float32(rng.uniform(0.01, 0.05))
    return _mottled(rng, size, STONE, rng.uniform(0.05, 0.12), 4) + noise[..., None]


def asphalt(rng: RNG, size: int) -> Field:
    """Stones in tar; at times a painted line."""
    stones = smooth_noise(rng, size, size // int(rng.integers(2, 5)))
    field = stones * np.float32(rng.uniform(0.06, 0.14)) + grain(rng, size) * np.float32(0.03)
    road = _mottled(rng, size, TAR, 0.05, 3) + field[..., None]
    if rng.random() < 0.3:
        x, tilt = rng.uniform(0, size, 2)
        line = Stencil(size).line([(x, 0), (tilt, size)], size * rng.uniform(0.03, 0.1)).mask()
        road += (line * np.float32(0.4))[..., None] * np.array(
            [1, 1, rng.uniform(0.3, 1)], np.float32
        )
    return road


def glass(rng: RNG, size: int) -> Field:
    sheen = smooth_noise(rng, size, (2, 2)) * np.float32(0.12)
    return _flat(rng, size, PANE) + sheen[..., None]


def rubber(rng: RNG, size: int) -> Field:
    noise = smooth_noise(rng, size, size // 2) * np.float32(rng.uniform(0.01, 0.05))
    return _mottled(rng, size, DARK, 0.02, 3) + noise[..., None]


def leather(rng: RNG, size: int) -> Field:
    """Cells with dark seams."""
    ridges = 1 - np.abs(fractal_noise(rng, size, size // 10, 2)) * 2
    return _flat(rng, size, HIDE) + (ridges * np.float32(rng.uniform(0.03, 0.1)))[..., None]


def label_print(rng: RNG, size: int) -> Field:
    """Rows of bars that look like print, and a bar code."""
    stencil = Stencil(size)
    pitch = rng.uniform(0.06, 0.13) * size
    for row in range(int(size / pitch / 1.6)):
        x, y = size * 0.08, (row + 0.7) * pitch * 1.6
        while x < size * rng.uniform(0.6, 0.95):
            word = pitch * rng.uniform(0.3, 0.9)
            stencil.line([(x, y), (x + word, y)], pitch * rng.uniform(0.3, 0.9))
            x += word + pitch * 0.35
    ink = box_blur(stencil.mask(), 0.6)[..., None]
    paper = np.array([0.9, 0.9, 0.87], np.float32) + np.float32(rng.normal(0, 0.04))
    return paper * (1 - ink) + colour(rng, DARK) * ink


def machined(rng: RNG, size: int) -> Field:
    """A metal plate with drilled holes and an edge, which are no defects."""
    plate = brushed(rng, size) if rng.random() < 0.5 else cast(rng, size)
    stencil = Stencil(size)
    radius = size * rng.uniform(0.04, 0.1)
    for x in (0.2, 0.8):
        for y in (0.2, 0.8):
            if rng.random() < 0.7:
                stencil.disc((x * size, y * size), radius)
    if rng.random() < 0.5:
        edge = size * rng.uniform(0.0, 0.2)
        stencil.polygon([(0, 0), (size, 0), (size, edge), (0, edge)])
    hole = stencil.mask()[..., None]
    return plate * (1 - hole) + np.float32(rng.uniform(0.02, 0.15)) * hole


Material = Callable[[RNG, int], Field]
MATERIALS: dict[str, tuple[Material, ...]] = {
    "brushed metal": (brushed, machined),
    "cast metal": (cast,),
    "steel": (brushed, cast, machined),
    "painted surface": (painted,),
    "plastic": (plastic,),
    "fabric": (woven,),
    "wood": (wood,),
    "concrete": (concrete,),
    "asphalt": (asphalt,),
    "glass": (glass,),
    "rubber": (rubber,),
    "leather": (leather,),
    "a printed label": (label_print,),
}

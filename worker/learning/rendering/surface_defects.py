"""How defects of surfaces look: each painter changes the scene in place and returns its mask.

A scene is (S, S, 3) in about 0..1, a mask (S, S) in 0..1. `severity` scales the size: 1 is usual.
"""

import math
from collections.abc import Callable

import numpy as np

from worker.learning.rendering.textures import (
    RNG,
    Field,
    Mask,
    Stencil,
    emboss,
    fractal_noise,
    grain,
    polygon,
    smooth_noise,
    walk,
)

Painter = Callable[[RNG, Field, float], Mask]


def _place(rng: RNG, size: int) -> tuple[float, float]:
    x, y = rng.uniform(0.1, 0.9, 2) * size
    return float(x), float(y)


def _turn(rng: RNG) -> float:
    return float(rng.uniform(0, 2 * math.pi))


def _shade(scene: Field, mask: Mask, amount: float) -> None:
    scene += (mask * np.float32(amount))[..., None]


def _tint(scene: Field, mask: Mask, colour: tuple[float, float, float], opacity: float) -> None:
    alpha = (mask * np.float32(opacity))[..., None]
    scene += (np.array(colour, np.float32) - scene) * alpha


def _blob(rng: RNG, size: int, radius: float, blur: float = 0.7) -> Mask:
    points = polygon(
        rng,
        _place(rng, size),
        radius,
        aspect=rng.uniform(1, 2.5),
        angle=_turn(rng),
        corners=int(rng.integers(8, 18)),
        roughness=rng.uniform(0.15, 0.5),
    )
    return Stencil(size).polygon(points).mask(blur)


def _relief(rng: RNG, scene: Field, height: Mask, strength: float) -> None:
    """Light one flank and darken the other."""
    slope = emboss(height, _turn(rng))
    scene += (slope * np.float32(strength))[..., None]


def scratch(rng: RNG, scene: Field, severity: float) -> Mask:
    """Long, thin, nearly straight; bright, dark, or a bright and a dark line side by side."""
    size = len(scene)
    stencil = Stencil(size)
    angle, width = _turn(rng), rng.uniform(0.5, 1.2) * severity
    for _ in range(int(rng.choice((1, 1, 1, 2, 3)))):
        length = rng.uniform(0.2, 0.7) * size
        stencil.line(walk(rng, _place(rng, size), angle, length, steps=6, wander=0.06), width)
    mask = stencil.mask(0.3)
    _shade(scene, mask, rng.choice((-1, 1)) * rng.uniform(0.15, 0.4))
    if rng.random() < 0.3:
        _shade(scene, np.roll(mask, 1, axis=0), -rng.uniform(0.1, 0.25))
    return mask


def crack(rng: RNG, scene: Field, severity: float) -> Mask:
    """Dark, jagged, branching."""
    size = len(scene)
    stencil = Stencil(size)
    trunk = walk(
        rng, _place(rng, size), _turn(rng), rng.uniform(0.3, 0.9) * size, steps=18, wander=0.45
    )
    width = rng.uniform(0.5, 1.3) * severity
    stencil.line(trunk, width)
    for _ in range(int(rng.integers(0, 6))):
        root = trunk[int(rng.integers(len(trunk)))]
        branch = walk(rng, root, _turn(rng), rng.uniform(0.1, 0.35) * size, steps=8, wander=0.5)
        stencil.line(branch, width * 0.7)
    mask = stencil.mask(0.3)
    _shade(scene, mask, -rng.uniform(0.2, 0.45))
    return mask


def dent(rng: RNG, scene: Field, severity: float) -> Mask:
    """A hollow: one side in shadow, the other lit."""
    size = len(scene)
    radius = rng.uniform(0.05, 0.12) * size * severity
    height = _blob(rng, size, radius, blur=radius * 0.5)
    _relief(rng, scene, -height, radius * rng.uniform(0.4, 0.9))
    return height


def stain(rng: RNG, scene: Field, severity: float) -> Mask:
    """A dull patch with an uneven middle and at times a dark rim."""
    size = len(scene)
    mask = _blob(rng, size, rng.uniform(0.06, 0.16) * size * severity, blur=1.5)
    mask = mask * (0.75 + 0.25 * fractal_noise(rng, size, 8))
    tone = rng.uniform(0.05, 0.35)
    _tint(scene, mask, (tone, tone * 0.9, tone * rng.uniform(0.5, 0.95)), rng.uniform(0.25, 0.6))
    return mask


def rust(rng: RNG, scene: Field, severity: float) -> Mask:
    """Orange brown, grainy, eaten away at the edges."""
    size = len(scene)
    area = _blob(rng, size, rng.uniform(0.07, 0.18) * size * severity, blur=3)
    speckle = fractal_noise(rng, size, 16) * np.float32(0.6)
    mask = np.clip((area + speckle * area - np.float32(0.35)) * 3, 0, 1)
    _tint(scene, mask, (0.5 + rng.uniform(-0.1, 0.1), 0.26, 0.1), rng.uniform(0.5, 0.9))
    scene += (mask * grain(rng, size) * np.float32(0.05))[..., None]
    return mask


def pit(rng: RNG, scene: Field, severity: float) -> Mask:
    """A handful of small dark pores close together."""
    size = len(scene)
    stencil, (x, y) = Stencil(size), _place(rng, size)
    spread = rng.uniform(0.03, 0.12) * size
    for _ in range(int(rng.integers(2, 9))):
        centre = (x + rng.normal(0, spread), y + rng.normal(0, spread))
        stencil.disc(centre, rng.uniform(0.008, 0.02) * size * severity)
    mask = stencil.mask(0.3)
    _relief(rng, scene, -mask, 0.3)
    _shade(scene, mask, -rng.uniform(0.2, 0.4))
    return mask


def hole(rng: RNG, scene: Field, severity: float) -> Mask:
    """One ragged hole, nearly black."""
    size = len(scene)
    mask = _blob(rng, size, rng.uniform(0.03, 0.08) * size * severity, blur=0.4)
    _tint(scene, mask, (0.03, 0.03, 0.03), rng.uniform(0.8, 1))
    _relief(rng, scene, mask, 0.2)
    return mask


def bubble(rng: RNG, scene: Field, severity: float) -> Mask:
    """Round domes with a highlight."""
    size = len(scene)
    stencil = Stencil(size)
    for _ in range(int(rng.choice((1, 1, 2, 3, 4)))):
        stencil.disc(_place(rng, size), rng.uniform(0.025, 0.07) * size * severity)
    mask = stencil.mask(1.2)
    _relief(rng, scene, mask, rng.uniform(0.4, 0.9))
    return mask


def chip(rng: RNG, scene: Field, severity: float) -> Mask:
    """A sharp-edged flake is gone; what is below has another colour."""
    size = len(scene)
    points = polygon(
        rng,
        _place(rng, size),
        rng.uniform(0.04, 0.1) * size * severity,
        corners=int(rng.integers(5, 8)),
        roughness=0.5,
    )
    mask = Stencil(size).polygon(points).mask(0.2)
    tone = rng.uniform(0.3, 0.95)
    _tint(scene, mask, (tone, tone, tone * 0.95), rng.uniform(0.6, 1))
    _relief(rng, scene, -mask, 0.25)
    return mask


def burr(rng: RNG, scene: Field, severity: float) -> Mask:
    """A row of bright teeth along a line."""
    size = len(scene)
    stencil, (x, y), angle = Stencil(size), _place(rng, size), _turn(rng)
    for step in range(int(rng.integers(5, 12))):
        along, tooth = step * 0.022 * size, rng.uniform(0.01, 0.04) * size * severity
        base = (x + along * math.cos(angle), y + along * math.sin(angle))
        tip = (base[0] - tooth * math.sin(angle), base[1] + tooth * math.cos(angle))
        stencil.line([base, tip], 1.4)
    mask = stencil.mask(0.4)
    _shade(scene, mask, rng.uniform(0.2, 0.45))
    _relief(rng, scene, mask, 0.3)
    return mask


def discoloration(rng: RNG, scene: Field, severity: float) -> Mask:
    """A wide soft area whose colour has shifted."""
    size = len(scene)
    mask = _blob(rng, size, rng.uniform(0.15, 0.3) * size * severity, blur=size * 0.05)
    shift = rng.normal(0, 0.13, 3).astype(np.float32)
    scene += mask[..., None] * (shift + np.sign(shift.sum()) * np.float32(0.08))
    return mask


def missing_part(rng: RNG, scene: Field, severity: float) -> Mask:
    """In a row of round heads one is gone: its seat is empty."""
    size = len(scene)
    count, radius = int(rng.integers(3, 6)), rng.uniform(0.04, 0.07) * size
    gone, level = int(rng.integers(count)), rng.uniform(0.2, 0.8)
    heads, seat = Stencil(size), Stencil(size)
    for index in range(count):
        at = ((index + 0.5) / count * size, level * size)
        (seat if index == gone else heads).disc(at, radius)
    head, mask = heads.mask(0.5), seat.mask(0.5)
    tone = rng.uniform(0.5, 0.95)
    _tint(scene, head, (tone, tone, tone), 0.85)
    _relief(rng, scene, head, 0.4)
    _tint(scene, mask, (0.08, 0.08, 0.08), rng.uniform(0.5, 0.9))
    return mask


def cavity(rng: RNG, scene: Field, severity: float) -> Mask:
    """A broad broken-out hollow: dark, rough inside, lit at the far rim."""
    size = len(scene)
    radius = rng.uniform(0.1, 0.24) * size * severity
    mask = _blob(rng, size, radius, blur=1.0)
    rough = smooth_noise(rng, size, size // 4) * np.float32(0.12)
    scene += (mask * (rough - np.float32(rng.uniform(0.1, 0.3))))[..., None]
    _relief(rng, scene, -mask, rng.uniform(0.3, 0.7))
    return mask


def particle(rng: RNG, scene: Field, severity: float) -> Mask:
    """Specks that lie on top and throw a small shadow."""
    size = len(scene)
    stencil = Stencil(size)
    for _ in range(int(rng.integers(1, 5))):
        stencil.polygon(
            polygon(rng, _place(rng, size), rng.uniform(0.01, 0.03) * size * severity, corners=6)
        )
    mask = stencil.mask(0.3)
    _shade(scene, np.roll(mask, (1, 1), axis=(0, 1)), -0.2)
    tone = rng.uniform(0, 1)
    _tint(scene, mask, (tone, tone, tone * rng.uniform(0.6, 1)), 0.9)
    return mask


def fiber(rng: RNG, scene: Field, severity: float) -> Mask:
    """One thin thread that curls."""
    size = len(scene)
    curl = walk(
        rng, _place(rng, size), _turn(rng), rng.uniform(0.25, 0.6) * size, steps=24, wander=0.3
    )
    mask = Stencil(size).line(curl, rng.uniform(0.5, 1.1) * severity).mask(0.2)
    _shade(scene, np.roll(mask, (1, 1), axis=(0, 1)), -0.12)
    tone = rng.choice((0.05, 0.95))
    _tint(scene, mask, (tone, tone, tone), 0.8)
    return mask


def wrinkle(rng: RNG, scene: Field, severity: float) -> Mask:
    """Soft folds side by side."""
    size = len(scene)
    stencil, angle, (x, y) = Stencil(size), _turn(rng), _place(rng, size)
    for fold in range(int(rng.integers(1, 4))):
        start = (x + fold * 0.06 * size, y + fold * 0.05 * size)
        stencil.line(
            walk(rng, start, angle, rng.uniform(0.3, 0.7) * size, steps=8, wander=0.15),
            0.02 * size * severity,
        )
    mask = stencil.mask(0.012 * size)
    _relief(rng, scene, mask, rng.uniform(0.5, 1.1))
    return mask


def burn(rng: RNG, scene: Field, severity: float) -> Mask:
    """Charred in the middle, brown around it."""
    size = len(scene)
    radius = rng.uniform(0.08, 0.18) * size * severity
    wide = _blob(rng, size, radius, blur=radius * 0.35)
    _tint(scene, wide, (0.28, 0.16, 0.07), 0.75)
    _tint(scene, wide**4, (0.04, 0.03, 0.03), 0.95)
    return wide


def peeling(rng: RNG, scene: Field, severity: float) -> Mask:
    """A film has come off; its edge curls up and throws a shadow."""
    size = len(scene)
    mask = _blob(rng, size, rng.uniform(0.1, 0.2) * size * severity, blur=0.4)
    shadow = np.clip(np.roll(mask, (2, 2), axis=(0, 1)) - mask, 0, 1)
    tone = rng.uniform(0.4, 0.8)
    _tint(scene, mask, (tone, tone * 0.95, tone * 0.85), 0.85)
    _shade(scene, shadow, -0.3)
    _relief(rng, scene, mask, 0.5)
    return mask


def spatter(rng: RNG, scene: Field, severity: float) -> Mask:
    """Many bright beads thrown from one point."""
    size = len(scene)
    stencil, (x, y) = Stencil(size), _place(rng, size)
    for distance in rng.exponential(0.13, int(rng.integers(10, 28))) * size:
        turn = _turn(rng)
        centre = (x + distance * math.cos(turn), y + distance * math.sin(turn))
        stencil.disc(centre, rng.uniform(0.006, 0.02) * size * severity)
    mask = stencil.mask(0.4)
    _tint(scene, mask, (0.85, 0.85, 0.88), 0.6)
    _relief(rng, scene, mask, 0.6)
    return mask


PAINTERS: dict[str, Painter] = {
    painter.__name__: painter
    for painter in (
        scratch,
        crack,
        dent,
        stain,
        rust,
        pit,
        hole,
        bubble,
        chip,
        burr,
        discoloration,
        missing_part,
        cavity,
        particle,
        fiber,
        wrinkle,
        burn,
        peeling,
        spatter,
    )
}

"""Where a surface is seen: as a part in front of something else, or lying in depth like a road.

Both keep the masks true to what is left of the surface in the picture.
"""

import numpy as np
from scipy.ndimage import map_coordinates

from worker.learning.rendering.textures import (
    RNG,
    Field,
    Mask,
    Stencil,
    colour,
    fractal_noise,
    grain,
    polygon,
)

Staged = tuple[Field, dict[str, Mask]]
SCENERY = (
    (90, 110, 60),
    (130, 140, 80),
    (150, 110, 80),
    (190, 205, 225),
    (120, 118, 112),
    (60, 60, 58),
    (225, 225, 220),
)


def as_part(rng: RNG, scene: Field, masks: dict[str, Mask], backdrop: Field) -> Staged:
    """The surface (S, S, 3) cut out to a part's outline, with its shadow on the `backdrop`."""
    size = len(scene)
    centre = tuple((rng.uniform(0.4, 0.6, 2) * size).tolist())
    outline = polygon(
        rng,
        centre,
        rng.uniform(0.38, 0.6) * size,
        roughness=rng.uniform(0, 0.2),
        aspect=rng.uniform(1, 1.8),
        angle=rng.uniform(0, np.pi),
        corners=int(rng.integers(4, 24)),
    )
    part = Stencil(size).polygon(outline).mask(0.5)
    shadow = np.roll(Stencil(size).polygon(outline).mask(3), rng.integers(-5, 6, 2), axis=(0, 1))
    behind = backdrop * (1 - np.float32(rng.uniform(0, 0.5)) * shadow[..., None])
    inside = part[..., None]
    picture: Field = (scene * inside + behind * (1 - inside)).astype(np.float32)
    return picture, {kind: mask * part for kind, mask in masks.items()}


def in_depth(rng: RNG, scene: Field, masks: dict[str, Mask]) -> Staged:
    """The surface seen along the ground up to a horizon, scenery on both sides and above."""
    size = len(scene)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / np.float32(size)
    horizon = np.float32(rng.uniform(-0.4, 0.35))
    below = np.maximum(rows - horizon, 1e-3)
    depth = (1 - horizon) / below  # 1 at the lower edge, growing towards the horizon
    middle, half = rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.8)
    across = (columns - np.float32(middle)) * depth / np.float32(2 * half) + np.float32(0.5)
    along = 1 - (depth - 1) * np.float32(rng.uniform(0.2, 0.45))
    inside = ((rows > horizon) & (across > 0) & (across < 1)).astype(np.float32)
    at = np.stack([along * size, across * size])

    def seen(field: Field) -> Field:
        warped: Field = map_coordinates(field, at, order=1, mode="mirror")
        return warped

    ground = np.stack([seen(scene[..., channel]) for channel in range(3)], axis=-1)
    road = ground * inside[..., None] + scenery(rng, size) * (1 - inside[..., None])
    # Beyond its far end the surface repeats itself in the mirror, and so do its defects.
    return road, {kind: seen(mask) * inside for kind, mask in masks.items()}


def scenery(rng: RNG, size: int) -> Field:
    """Grass, earth, sky, walls: blotches of two colours with grain."""
    share = np.clip(fractal_noise(rng, size, int(rng.integers(2, 12))) + 0.5, 0, 1)[..., None]
    first, second = (colour(rng, SCENERY, 0.08) for _ in range(2))
    fine = grain(rng, size)[..., None] * np.float32(rng.uniform(0, 0.1))
    blotches: Field = first * share + second * (1 - share) + fine
    return blotches

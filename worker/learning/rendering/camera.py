"""What light and camera do to a scene: fall-off, gloss, exposure, colour, blur, noise."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from worker.learning.rendering.textures import RNG, Field, grain, smooth_noise


def illuminate(rng: RNG, scene: Field) -> Field:
    """Uneven light, at times with a highlight; (H, H, 3) to the same."""
    size = len(scene)
    light = 1 + smooth_noise(rng, size, 2) * np.float32(rng.uniform(0, 0.25))
    if rng.random() < 0.25:
        light = light + _highlight(rng, size)
    return scene * light[..., None]


def _highlight(rng: RNG, size: int) -> Field:
    """A soft band of gloss across the picture."""
    angle, offset = rng.uniform(0, math.pi), rng.uniform(0.2, 0.8)
    line = np.linspace(0, 1, size, dtype=np.float32)
    across = line[None, :] * np.float32(math.cos(angle)) + line[:, None] * np.float32(
        math.sin(angle)
    )
    width = np.float32(rng.uniform(0.08, 0.3))
    band: Field = np.exp(-(((across - np.float32(offset)) / width) ** 2)) * np.float32(
        rng.uniform(0.05, 0.35)
    )
    return band


def photograph(rng: RNG, scene: Field) -> NDArray[np.uint8]:
    """Expose, blur and digitise: (H, H, 3) in about 0..1 to bytes. A third is monochrome."""
    if rng.random() < 0.35:
        scene = np.repeat(scene.mean(axis=2, keepdims=True), 3, axis=2)
    exposed = np.clip(scene * np.float32(rng.uniform(0.75, 1.25)), 0, 1)
    exposed = exposed ** np.float32(math.exp(rng.uniform(-0.3, 0.3)))
    noise = grain(rng, len(scene)) * np.float32(rng.uniform(0, 0.035))
    exposed = np.clip(exposed + noise[..., None], 0, 1)
    image = Image.fromarray((exposed * np.float32(255)).astype(np.uint8))
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    return np.asarray(image)

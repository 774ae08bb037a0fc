"""A whole render: surface or board, several defects with their masks, light, camera, caption.

Everything follows from one generator, so that a seed is a picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worker.learning.rendering import boards, camera, captions, staging
from worker.learning.rendering.kinds import KINDS, Scene
from worker.learning.rendering.surface_defects import PAINTERS
from worker.learning.rendering.surfaces import MATERIALS
from worker.learning.rendering.textures import RNG, Field, Mask

SURFACE_KINDS = tuple(kind.key for kind in KINDS if kind.scene is Scene.SURFACE)
VISIBLE = 0.3  # a mask counts where it is at least this opaque


@dataclass(frozen=True)
class Render:
    """`pixels` (S, S, 3) bytes; `masks` one boolean (S, S) for each kind that it shows."""

    pixels: NDArray[np.uint8]
    masks: dict[str, NDArray[np.bool_]]
    surface: str
    caption: str

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self.masks)


@dataclass(frozen=True)
class Mixture:
    """What to draw from: the share of boards, the size of defects, how many at most.

    `severity` multiplies the usual size: a curriculum begins above 1. A share `staged` of the
    surfaces does not fill the picture.
    """

    boards: float = 0.55
    staged: float = 0.0
    severity: float = 1.0
    most_defects: int = 4
    surface_kinds: tuple[str, ...] = SURFACE_KINDS


def render(rng: RNG, size: int, mixture: Mixture | None = None) -> Render:
    """One random picture of `size` pixels a side. Held-out kinds appear only if asked for."""
    mixture = mixture or Mixture()
    if rng.random() < mixture.boards:
        return render_board(rng, size, mixture)
    count = int(rng.integers(0, mixture.most_defects + 1)) if rng.random() < 0.9 else 0
    kinds = rng.choice(mixture.surface_kinds, min(count, len(mixture.surface_kinds)), replace=False)
    staged = bool(rng.random() < mixture.staged)
    return render_surface(rng, size, kinds.tolist(), severity=mixture.severity, staged=staged)


def render_surface(
    rng: RNG,
    size: int,
    kinds: Sequence[str],
    *,
    severity: float = 1.0,
    surface: str | None = None,
    opacity: Mapping[str, float] | None = None,
    staged: bool = False,
) -> Render:
    """A surface (any, or the named one) with one defect of each of `kinds`.

    `opacity` below 1 makes a kind fainter without making it smaller. A `staged` surface is a part
    in front of something, or lies in depth.
    """
    surface = surface or str(rng.choice(list(MATERIALS)))
    scene = _material(rng, surface, size)
    masks: dict[str, Mask] = {}
    for kind in kinds:
        painted = scene.copy()
        masks[kind] = PAINTERS[kind](rng, painted, severity * rng.uniform(0.8, 1.3))
        alpha = np.float32((opacity or {}).get(kind, 1.0))
        scene = alpha * painted + (1 - alpha) * scene
    if staged:
        scene, masks = _staged(rng, scene, masks)
    pixels = camera.photograph(rng, camera.illuminate(rng, scene))
    visible = {kind: mask > VISIBLE for kind, mask in masks.items()}
    return _finished(rng, pixels, visible, surface)


def _material(rng: RNG, surface: str, size: int) -> Field:
    materials = MATERIALS[surface]
    return materials[int(rng.integers(len(materials)))](rng, size)


def _staged(rng: RNG, scene: Field, masks: dict[str, Mask]) -> staging.Staged:
    if rng.random() < 0.5:
        return staging.in_depth(rng, scene, masks)
    backdrop = _material(rng, str(rng.choice(list(MATERIALS))), len(scene))
    return staging.as_part(rng, scene, masks, backdrop)


def render_board(rng: RNG, size: int, mixture: Mixture) -> Render:
    """A board, as line art or as a photo, with up to the mixture's number of defects."""
    board = boards.artwork(rng, size, zoom=rng.uniform(1.8, 7.0) * size / 128)
    art = np.asarray(board.image)
    painted: dict[str, Mask] = {}
    for kind in _board_kinds(rng, mixture.most_defects):
        scale = 2 * size / 128 * rng.uniform(2.2, 4.5) * mixture.severity
        spoiled = boards.spoil(rng, board, art, kind, scale)
        if spoiled is not None:
            art, mask = spoiled
            painted[kind] = np.maximum(painted.get(kind, 0), mask)
    masks = {kind: _halved(mask) for kind, mask in painted.items()}
    if rng.random() < 0.65:
        scene: Field = boards.line_art(rng, boards.etched(rng, art))
        pixels = (scene * np.float32(255)).astype(np.uint8)
        surface = "circuit artwork"
    else:
        scene = boards.board_photo(rng, art)
        pixels = camera.photograph(rng, camera.illuminate(rng, scene))
        surface = str(rng.choice(("printed circuit board", "copper board")))
    return _finished(rng, pixels, masks, surface)


def _board_kinds(rng: RNG, most: int) -> list[str]:
    count = int(rng.integers(0, most + 2))
    shares = np.array([0.03 if kind == "missing_hole" else 1.0 for kind in boards.BOARD_KINDS])
    return [str(k) for k in rng.choice(boards.BOARD_KINDS, count, p=shares / shares.sum())]


def _halved(mask: Mask) -> NDArray[np.bool_]:
    """A pixel of the picture is defective where half of its four artwork pixels are."""
    size = len(mask) // 2
    covered: NDArray[np.bool_] = mask.reshape(size, 2, size, 2).mean(axis=(1, 3)) >= 0.5
    return covered


def _finished(
    rng: RNG, pixels: NDArray[np.uint8], masks: dict[str, NDArray[np.bool_]], surface: str
) -> Render:
    """Drop kinds that ended up outside the picture or too small to be seen, then describe it."""
    visible = {kind: mask for kind, mask in masks.items() if np.count_nonzero(mask) >= 3}
    sentence = captions.caption(rng, surface, tuple(visible))
    return Render(np.ascontiguousarray(pixels), visible, surface, sentence)


def contact_sheet(renders: Sequence[Render], columns: int = 8) -> Image.Image:
    """Renders side by side, to look at."""
    size = len(renders[0].pixels)
    rows = -(-len(renders) // columns)
    sheet = Image.new("RGB", (columns * size, rows * size))
    for index, one in enumerate(renders):
        at = (index % columns * size, index // columns * size)
        sheet.paste(Image.fromarray(one.pixels), at)
    return sheet

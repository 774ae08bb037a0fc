"""Packs of rendered photos in the layout that Kizu imports: the demo's own photos.

Unlike the pictures of pre-training they have contexts (which defects come together on which line)
and kinds that pre-training never saw.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from worker.learning.rendering.kinds import BY_KEY
from worker.learning.rendering.scenes import Render, render_surface
from worker.learning.rendering.textures import RNG

PHOTO_SIZE = 256
# Seeds of packs stay apart from those of pre-training, which are pairs of seed and step.
PACK_STREAM = 7_001


@dataclass(frozen=True)
class Line:
    """A production line: its material, and how often each defect occurs on its parts."""

    surface: str
    chances: dict[str, float]


PACK_KINDS = ("scratch", "stain", "pit", "burn", "peeling", "spatter")
LINES = (
    Line("steel", {"spatter": 0.6, "burn": 0.5, "scratch": 0.15}),  # welding
    Line("painted surface", {"peeling": 0.55, "pit": 0.55, "stain": 0.15}),  # coating
    Line("brushed metal", {"scratch": 0.6, "stain": 0.5, "pit": 0.1}),  # handling
)


def render_pack(directory: Path, *, train: int, test: int, seed: int) -> None:
    """Write `images/`, `labels.csv` and `classes.tsv` for `train` + `test` photos.

    The same arguments give the same files. An existing pack is overwritten.
    """
    photos = (pack_photo(seed, index) for index in range(train + test))
    write_pack(directory, photos, kinds=PACK_KINDS, train=train)


def write_pack(
    directory: Path, photos: Iterable[Render], *, kinds: Sequence[str], train: int
) -> None:
    """Write photos in the pack layout; the first `train` of them are to learn from."""
    images = directory / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, photo in enumerate(photos):
        file = images / f"part-{index:05d}.jpg"
        Image.fromarray(photo.pixels).save(file, quality=92)
        split = "train" if index < train else "test"
        rows.append((f"images/{file.name}", split, "|".join(sorted(photo.kinds))))
    write_table(directory / "labels.csv", ",", [("file", "split", "labels"), *rows])
    phrases = [(key, BY_KEY[key].phrases[0]) for key in kinds]
    write_table(directory / "classes.tsv", "\t", [("label", "phrase"), *phrases])


def pack_photo(seed: int, index: int) -> Render:
    """The photo of an index: a part of a random line with that line's defects."""
    rng = np.random.default_rng((PACK_STREAM, seed, index))
    line = LINES[int(rng.integers(len(LINES)))]
    return render_surface(rng, PHOTO_SIZE, _defects(rng, line), severity=0.8, surface=line.surface)


def _defects(rng: RNG, line: Line) -> list[str]:
    """A quarter of the parts is good for sure; the rest draws from the chances of its line."""
    if rng.random() < 0.25:
        return []
    return [kind for kind, chance in line.chances.items() if rng.random() < chance]


def write_table(file: Path, delimiter: str, rows: list[tuple[str, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, delimiter=delimiter, lineterminator="\n").writerows(rows)

"""Large photos as an overview and a grid of tiles: small defects keep their pixels.

Geometry alone, without PyTorch: exported models need it too.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

Tiles = tuple[int, int]  # rows and columns; (1, 1): the photo as it is
Size = tuple[int, int]  # height and width

WHOLE: Tiles = (1, 1)
MOST_TILES = 12
# Without being asked: with four tiles a training step takes five times as long as without any.
USUAL_TILES = 6
# As a share of a tile's side: what is smaller lies whole in one tile, wherever it lies.
OVERLAP = 1 / 8
# Photos up to this many times the training resolution lose too little to pay for tiles.
WORTH_TILES = 2.0
SAMPLE = 32


@dataclass(frozen=True)
class Grid:
    """`rows` x `columns` square tiles of `side` pixels, and an overview as large as one tile.

    All are cut from one canvas, to which every photo is resized. A single tile is the photo
    itself; it has no overview beside it. Raises `ValueError` for no tiles, or too many.
    """

    rows: int
    columns: int
    side: int

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1 or self.rows * self.columns > MOST_TILES:
            raise ValueError(
                f"{self.rows} x {self.columns} tiles: at least 1 x 1, at most {MOST_TILES} in all"
            )

    @classmethod
    def of_card(cls, card: dict[str, Any]) -> Self:
        """The grid that a model card, as JSON, tells of; cards of before had none."""
        rows, columns = card.get("tiles", WHOLE)
        return cls(rows, columns, card["resolution"])

    @property
    def overlap(self) -> int:
        return round(self.side * OVERLAP)

    @property
    def canvas(self) -> Size:
        """Height and width in pixels."""
        height, width = (
            count * self.side - (count - 1) * self.overlap for count in (self.rows, self.columns)
        )
        return height, width

    @cached_property
    def views(self) -> int:
        """How often the backbone looks at one photo."""
        tiles = self.rows * self.columns
        return tiles if tiles == 1 else tiles + 1

    @property
    def corners(self) -> list[Size]:
        """Top and left of each tile on the canvas, row by row."""
        step = self.side - self.overlap
        return [(row * step, column * step) for row, column in np.ndindex(self.rows, self.columns)]

    def photos_within(self, views: int) -> int:
        """How many photos make at most so many views; at least one."""
        return max(views // self.views, 1)


def usual_size(size_of: Callable[[int], Size | None], count: int) -> Size | None:
    """The median height and the median width of up to 32 of `count` photos, evenly spread.

    None where no size is known.
    """
    sizes = [size_of(row) for row in range(0, count, math.ceil(count / SAMPLE))]
    known = [size for size in sizes if size is not None]
    if not known:
        return None
    height, width = np.median(known, axis=0)
    return int(height), int(width)


def usual_tiles(size: Size, side: int, *, square: bool) -> Tiles:
    """The grid of at most 6 tiles whose canvas is nearest to photos of `size`, and no larger in
    any direction in which it has several tiles; of equally near ones that with fewer tiles.

    One tile where photos are at most twice as long as `side`. With `square` as many rows as
    columns, for photos that training turns by quarter turns.
    """
    if max(size) <= WORTH_TILES * side:
        return WHOLE
    counts = itertools.product(range(1, USUAL_TILES + 1), repeat=2)
    grids = [Grid(r, c, side) for r, c in counts if r * c <= USUAL_TILES and (r == c or not square)]
    best = max((grid for grid in grids if _fits(grid, size)), key=lambda grid: _scale(grid, size))
    return best.rows, best.columns


def _fits(grid: Grid, size: Size) -> bool:
    counts = (grid.rows, grid.columns)
    sides = zip(counts, grid.canvas, size, strict=True)
    return all(count == 1 or pixels <= whole for count, pixels, whole in sides)


def _scale(grid: Grid, size: Size) -> tuple[float, int]:
    """How large photos of `size` appear on the canvas, where they appear smallest."""
    shares = (pixels / whole for pixels, whole in zip(grid.canvas, size, strict=True))
    return min(shares), -grid.views

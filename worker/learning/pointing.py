"""The pointing game: does the strongest place of a heat map lie on the defect?

Zhang et al., "Top-down Neural Attention by Excitation Backprop" (2016): the share of pairs of a
photo and a label present on it whose peak is at most a few pixels away from the object. Beside it
stands what a peak drawn by lot reaches, exactly and not by sampling.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Distances = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """One photo and one label present on it; all distances are pixels of the photo.

    `peak` is the distance from the map's peak to the nearest defect of the label, `places` (G * G)
    that from each place of the map, `area` the share of the photo that these defects cover.
    """

    label: str
    peak: float
    places: Distances
    area: float


@dataclass(frozen=True)
class PointingGame:
    """Shares of pairs: `hits` by the maps, `by_lot` by a random place; `area` is the mean share of
    a photo that a label's defects cover. `tolerance` is in pixels of the photo."""

    pairs: int
    tolerance: float
    hits: float
    by_lot: float
    area: float


def play(pairs: list[Pair], tolerance: float) -> PointingGame:
    """The game over `pairs`; shares are NaN without any."""
    hits = [pair.peak <= tolerance for pair in pairs]
    by_lot = [float((pair.places <= tolerance).mean()) for pair in pairs]
    areas = [pair.area for pair in pairs]
    return PointingGame(len(pairs), tolerance, _mean(hits), _mean(by_lot), _mean(areas))


def places(grid: int, height: int, width: int) -> Points:
    """Centres (G * G, 2) of a map's places over a photo: row and column in pixels."""
    shares = (np.stack(np.divmod(np.arange(grid * grid), grid), axis=-1) + 0.5) / grid
    return shares * (height, width)


def distance_to_mask(points: Points, mask: NDArray[np.bool_]) -> Distances:
    """From points (P, 2), row and column, to the nearest true pixel of (H, W), its square included.

    Infinite where no pixel is true.
    """
    rows, columns = np.nonzero(mask)
    return distance_to_boxes(points, np.stack([columns, rows, columns + 1, rows + 1], axis=1))


def distance_to_boxes(points: Points, boxes: NDArray[np.integer]) -> Distances:
    """From points (P, 2), row and column, to the nearest of boxes (M, 4) as x1, y1, x2, y2.

    0 inside and on the edge; infinite without boxes.
    """
    if len(boxes) == 0:
        return np.full(len(points), np.inf)
    nearest = []
    for row, column in points:
        down = np.maximum(0, np.maximum(boxes[:, 1] - row, row - boxes[:, 3]))
        across = np.maximum(0, np.maximum(boxes[:, 0] - column, column - boxes[:, 2]))
        nearest.append(np.hypot(down, across).min())
    return np.array(nearest, dtype=np.float64)


def covered(boxes: NDArray[np.integer], height: int, width: int) -> float:
    """The share of a photo under boxes (M, 4); overlaps count once."""
    mask = np.zeros((height, width), dtype=bool)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = True
    return float(mask.mean())


def _mean(values: list[bool] | list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")

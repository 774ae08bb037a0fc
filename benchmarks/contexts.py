"""How often a criterion finds the number of planted context groups, and how well it sorts labels.

    python -m benchmarks.contexts [--draws 16] [--cells 8,3,200 20,4,60 ...]

A cell is K labels in C planted groups on N labelled images (`plant`). For the eigengap, the
modularity, parallel analysis and Kizu's rule it prints the share of draws with the right number of
groups and the mean adjusted Rand index to the planted partition. With C = 1 the labels are
independent, and every group found is an invented one.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.learning import contexts
from worker.learning.contexts import MOST_GROUPS, find_contexts, positive_npmi, spectral_clustering

Labels = NDArray[np.int8]
Count = Callable[[Labels, int, np.random.Generator], int]


@dataclass(frozen=True)
class Cell:
    """`labels` (K) in `groups` (C) on `images` (N)."""

    labels: int
    groups: int
    images: int

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """From "8,3,200"."""
        return cls(*(int(number) for number in text.split(",")))

    def __str__(self) -> str:
        return f"{self.labels}, {self.groups}, {self.images}"


CELLS = (
    Cell(8, 1, 200),
    Cell(20, 1, 200),
    Cell(8, 1, 60),
    Cell(20, 1, 60),
    Cell(8, 2, 200),
    Cell(8, 3, 200),
    Cell(8, 4, 200),
    Cell(20, 4, 200),
    Cell(20, 4, 60),
    Cell(8, 3, 60),
)


def plant(cell: Cell, rng: np.random.Generator) -> tuple[Labels, NDArray[np.int64]]:
    """Labels (N, K) of images that show one group each, and the planted partition (K,).

    A label of the shown group occurs with a chance of 0.3 to 0.6, any other with a tenth of its
    own. With a single group every label occurs by itself with a chance of 0.1 to 0.4.
    """
    group = np.sort(np.arange(cell.labels) % cell.groups)
    if cell.groups == 1:
        chance = np.broadcast_to(rng.uniform(0.1, 0.4, cell.labels), (cell.images, cell.labels))
    else:
        shown = rng.integers(0, cell.groups, cell.images)
        usual = rng.uniform(0.3, 0.6, cell.labels)
        chance = usual * np.where(shown[:, None] == group, 1.0, 0.1)
    return (rng.random(chance.shape) < chance).astype(np.int8), group


def eigengap(labels: Labels, most: int, rng: np.random.Generator) -> int:
    """The number before the widest gap of the Laplacian's spectrum (von Luxburg, 2007)."""
    values = np.linalg.eigvalsh(contexts.laplacian(positive_npmi(labels)))[: most + 1]
    return int(np.diff(values)[1:].argmax()) + 2


def modularity(labels: Labels, most: int, rng: np.random.Generator) -> int:
    """The number of greatest modularity, whatever chance would give."""
    return contexts.best_modularity(positive_npmi(labels), most)[1]


COUNTS: dict[str, Count] = {
    "eigengap": eigengap,
    "modularity": modularity,
    "parallel analysis": contexts.count_by_parallel_analysis,
    "gated modularity": contexts.count_by_modularity,
}

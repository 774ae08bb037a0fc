"""How often a criterion finds the number of planted context groups, and how well it sorts labels.

    python -m benchmarks.contexts [--draws 16] [--cells 8,3,200 20,4,60 ...]

A cell is K labels in C planted groups on N labelled images (`plant`). For the eigengap, the
modularity, parallel analysis and Kizu's rule it prints the share of draws with the right number of
groups and the mean adjusted Rand index to the planted partition. With C = 1 the labels are
independent, and every group found is an invented one.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.learning import contexts
from worker.learning.contexts import MOST_GROUPS, positive_npmi, spectral_clustering

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

    A label of the shown group occurs with a chance of 0.25 to 0.55, any other with a fifth of its
    own. With a single group every label occurs by itself, with a chance of 0.1 to 0.4.
    """
    group = np.sort(np.arange(cell.labels) % cell.groups)
    if cell.groups == 1:
        chance = np.broadcast_to(rng.uniform(0.1, 0.4, cell.labels), (cell.images, cell.labels))
    else:
        shown = rng.integers(0, cell.groups, cell.images)
        usual = rng.uniform(0.25, 0.55, cell.labels)
        chance = usual * np.where(shown[:, None] == group, 1.0, 0.2)
    return (rng.random(chance.shape) < chance).astype(np.int8), group


def eigengap(labels: Labels, most: int, rng: np.random.Generator) -> int:
    """The number before the widest gap of the Laplacian's spectrum (von Luxburg, 2007)."""
    values = np.linalg.eigvalsh(contexts.laplacian(positive_npmi(labels)))[: most + 1]
    return int(np.diff(values)[1:].argmax()) + 2


def modularity(labels: Labels, most: int, rng: np.random.Generator) -> int:
    """The number of greatest modularity, whatever chance would give."""
    return contexts.best_modularity(positive_npmi(labels), most)[1]


def kizu(labels: Labels, most: int, rng: np.random.Generator) -> int:
    """What a training would do."""
    return contexts.decide_count(labels, None, seed=0)[0]


COUNTS: dict[str, Count] = {
    "eigengap": eigengap,
    "modularity": modularity,
    "gated modularity": contexts.count_by_modularity,
    "parallel analysis": contexts.count_by_parallel_analysis,
    "Kizu": kizu,
}


def adjusted_rand_index(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Agreement of two partitions (K,) beyond chance (Hubert & Arabie, 1985); 1 if they agree."""
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1)

    def pairs(counts: NDArray[np.float64]) -> float:
        return float((counts * (counts - 1) / 2).sum())

    rows, columns = pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = rows * columns / pairs(table.sum(keepdims=True))
    most = (rows + columns) / 2
    return 1.0 if most == chance else (pairs(table) - chance) / (most - chance)


def compare(cell: Cell, draws: int) -> dict[str, tuple[float, float]]:
    """For each criterion the share of draws with the right number, and the mean Rand index."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COUNTS}
    for draw in range(draws):
        rng = np.random.default_rng([draw, cell.labels, cell.groups, cell.images])
        labels, planted = plant(cell, rng)
        affinity = positive_npmi(labels)
        for name, count in COUNTS.items():
            number = count(labels, min(cell.labels // 2, MOST_GROUPS), np.random.default_rng(draw))
            partition = spectral_clustering(affinity, number)
            right = float(number == cell.groups)
            found[name].append((right, adjusted_rand_index(planted, partition)))
    return {name: tuple(np.mean(values, axis=0)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--cells", type=Cell.parse, nargs="+", default=CELLS, metavar="K,C,N")
    args = parser.parse_args()
    print("| K, C, N |", " | ".join(COUNTS), "|")
    print("|---" * (len(COUNTS) + 1) + "|")
    for cell in args.cells:
        row = [f"{right:.2f} / {index:.2f}" for right, index in compare(cell, args.draws).values()]
        print(f"| {cell} |", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()

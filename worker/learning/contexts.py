"""Context groups: labels that occur together, found from the labels that people gave.

The number of groups comes from parallel analysis on positive NPMI, or below 100 images from
modularity against permuted labels; one group means that there is no context to learn.
Nothing here knows about images or models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

PERMUTATIONS = 100
FEW_IMAGES = 100
MOST_GROUPS = 6


class Criterion(StrEnum):
    """How the number of groups was decided."""

    PARALLEL_ANALYSIS = "parallel_analysis"
    MODULARITY = "modularity"
    GIVEN = "given"
    TOO_FEW_LABELS = "too_few_labels"
    TRANSFERRED = "transferred"


@dataclass(frozen=True)
class Link:
    """Two labels, by their columns, that occur together more often than by chance."""

    first: int
    second: int
    npmi: float


@dataclass(frozen=True)
class PriorGroups:
    """What another project knows: the group of each label key. `origin` names the project."""

    origin: str
    groups: Mapping[str, int]

    def assign(self, keys: Sequence[str]) -> tuple[int, ...] | None:
        """The groups of labels; one that the other project does not know is a group by itself.

        None if the labels that both know are all of one group, which would say nothing.
        """
        if len({self.groups[key] for key in keys if key in self.groups}) < 2:
            return None
        found: dict[int | str, int] = {}
        return tuple(found.setdefault(self.groups.get(key, key), len(found)) for key in keys)


@dataclass(frozen=True)
class ContextGroups:
    """A partition of the labels; `assignment[k]` is the group of label k.

    `links` are the label pairs of positive NPMI among the labels of people. `origin` says whose
    groups these are where another project lent them.
    """

    assignment: tuple[int, ...]
    names: tuple[str, ...]
    criterion: Criterion
    links: tuple[Link, ...] = ()
    origin: str | None = None

    @property
    def count(self) -> int:
        return len(self.names)

    @property
    def active(self) -> bool:
        """Whether there is a context task at all: one group says nothing about an image."""
        return self.count > 1

    def membership(self) -> Matrix:
        """One-hot partition (K, C)."""
        return np.eye(self.count)[list(self.assignment)]


def find_contexts(
    labels: NDArray[np.int8],
    keys: Sequence[str],
    *,
    count: int | None = None,
    prior: PriorGroups | None = None,
    seed: int = 0,
) -> ContextGroups:
    """Group the labels of a matrix (N, K) of 1 present, 0 absent, -1 unknown.

    `count` fixes the number of groups; None finds it. With fewer than 100 labelled images the
    groups of a `prior` are taken as they are, where it knows labels of two groups. The answer does
    not depend on the order of the labels: they are put in the order of their keys first.
    """
    order = np.argsort(np.asarray(keys, dtype=str), kind="stable")
    links = _links(positive_npmi(labels))
    lent = prior.assign(keys) if prior and count is None and _has_few_images(labels) else None
    if prior and lent:
        names = name_groups(lent, keys)
        return ContextGroups(lent, names, Criterion.TRANSFERRED, links, prior.origin)
    labels = labels[:, order]
    count, criterion = decide_count(labels, count, seed)
    assignment = np.empty(len(keys), dtype=int)
    assignment[order] = spectral_clustering(positive_npmi(labels), count)
    groups = tuple(int(group) for group in assignment)
    return ContextGroups(groups, name_groups(groups, keys), criterion, links)


def _has_few_images(labels: NDArray[np.int8]) -> bool:
    return int((labels >= 0).any(axis=1).sum()) < FEW_IMAGES


def _links(affinity: Matrix) -> tuple[Link, ...]:
    """The pairs of an affinity (K, K) above 0, to three decimals."""
    rounded = np.triu(affinity).round(3)
    return tuple(Link(int(i), int(j), float(rounded[i, j])) for i, j in np.argwhere(rounded > 0))


def decide_count(labels: NDArray[np.int8], count: int | None, seed: int) -> tuple[int, Criterion]:
    n_labels = labels.shape[1]
    most = min(n_labels // 2, MOST_GROUPS)
    if count is not None:
        return max(1, min(count, n_labels)), Criterion.GIVEN
    if most < 2:
        return 1, Criterion.TOO_FEW_LABELS
    rng = np.random.default_rng(seed)
    if _has_few_images(labels):
        return count_by_modularity(labels, most, rng), Criterion.MODULARITY
    return count_by_parallel_analysis(labels, most, rng), Criterion.PARALLEL_ANALYSIS


def name_groups(assignment: Sequence[int], keys: Sequence[str]) -> tuple[str, ...]:
    """A group is called by its labels: "open + short"."""
    members: list[list[str]] = [[] for _ in range(max(assignment, default=-1) + 1)]
    for key, group in zip(keys, assignment, strict=True):
        members[group].append(key)
    return tuple(" + ".join(sorted(group)) for group in members)


def shuffled_groups(groups: ContextGroups, keys: Sequence[str], seed: int) -> ContextGroups:
    """Groups of the same sizes with labels drawn by lot: the control for what grouping is worth."""
    drawn = np.random.default_rng(seed).permutation(np.array(groups.assignment))
    assignment = tuple(int(group) for group in _in_order_of_appearance(drawn))
    names = name_groups(assignment, keys)
    return replace(groups, assignment=assignment, names=names)


def positive_npmi(labels: NDArray[np.int8], *, smoothing: float = 0.5) -> Matrix:
    """Positive normalised pointwise mutual information of label pairs (K, K), diagonal 0.

    NPMI (Bouma 2009) over the images where both labels are known, 0.5 added to every cell of
    each two-by-two table so that rare labels do not claim perfect association.
    """
    known = (labels >= 0).astype(float)
    present = (labels == 1).astype(float)
    total = known.T @ known + 4 * smoothing
    both = (present.T @ present + smoothing) / total
    # Among images where both are known: row label present, column label present.
    first = (present.T @ known + 2 * smoothing) / total
    second = (known.T @ present + 2 * smoothing) / total
    npmi = np.log(both / (first * second)) / -np.log(both)
    np.fill_diagonal(npmi, 0.0)
    return np.asarray(npmi.clip(min=0))


def laplacian(affinity: Matrix) -> Matrix:
    """Normalised Laplacian of an affinity (K, K), slightly connected so that it is defined."""
    n = len(affinity)
    affinity = affinity + 0.1 * (affinity.mean() + 1e-6) * (1 - np.eye(n))
    scale = 1 / np.sqrt(affinity.sum(axis=1))
    return np.asarray(np.eye(n) - scale[:, None] * affinity * scale[None, :])


def _permuted(labels: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int8]:
    """Each label shuffled over images by itself: same frequencies, no association."""
    return rng.permuted(labels, axis=0)


def count_by_parallel_analysis(
    labels: NDArray[np.int8], most: int, rng: np.random.Generator
) -> int:
    """1 + the leading non-trivial eigenvalues below the 5 % quantile of permuted labels."""

    def spectrum(matrix: NDArray[np.int8]) -> Matrix:
        return np.asarray(np.linalg.eigvalsh(laplacian(positive_npmi(matrix)))[1:most])

    permuted = np.stack([spectrum(_permuted(labels, rng)) for _ in range(PERMUTATIONS)])
    below = spectrum(labels) < np.quantile(permuted, 0.05, axis=0)
    return 1 + int(np.cumprod(below).sum())


def count_by_modularity(labels: NDArray[np.int8], most: int, rng: np.random.Generator) -> int:
    """The number of groups of greatest modularity, if permuted labels rarely reach it."""
    best, count = best_modularity(positive_npmi(labels), most)
    chance = [
        best_modularity(positive_npmi(_permuted(labels, rng)), most)[0] for _ in range(PERMUTATIONS)
    ]
    return count if best > np.quantile(chance, 0.95) else 1


def best_modularity(affinity: Matrix, most: int) -> tuple[float, int]:
    scores = [
        (_modularity(affinity, spectral_clustering(affinity, count)), count)
        for count in range(2, most + 1)
    ]
    return max(scores)


def _modularity(affinity: Matrix, assignment: NDArray[np.int64]) -> float:
    """Newman's modularity of a weighted graph (K, K)."""
    weight = affinity.sum()
    if weight == 0:
        return 0.0
    degree = affinity.sum(axis=1)
    same = assignment[:, None] == assignment[None, :]
    return float(((affinity - np.outer(degree, degree) / weight) * same).sum() / weight)


def spectral_clustering(affinity: Matrix, count: int) -> NDArray[np.int64]:
    """Partition (K,) by k-means on the leading eigenvectors (Ng, Jordan, Weiss 2001).

    k-means starts once from every label, farthest points next: no luck is involved.
    """
    n = len(affinity)
    if count <= 1:
        return np.zeros(n, dtype=np.int64)
    _, vectors = np.linalg.eigh(laplacian(affinity))
    points = vectors[:, :count]
    points = points / np.linalg.norm(points, axis=1, keepdims=True).clip(min=1e-12)
    inertia, assignments = _k_means(points, points[_farthest_first(points, count)])
    # Rounded: equally good partitions must not be told apart by the last bit.
    return _in_order_of_appearance(assignments[inertia.round(9).argmin()])


def _farthest_first(points: Matrix, count: int) -> NDArray[np.int64]:
    """Rows (N, count) of points (N, D): each begins with one of them, the farthest follow."""
    distance = _squared_distances(points, points)
    chosen = np.arange(len(points))[:, None]
    while chosen.shape[1] < count:
        farthest = distance[chosen].min(axis=1).argmax(axis=1)
        chosen = np.concatenate([chosen, farthest[:, None]], axis=1)
    return chosen


def _k_means(points: Matrix, centres: Matrix) -> tuple[Matrix, NDArray[np.int64]]:
    """Lloyd's iterations of points (N, D) from every set of centres (S, C, D) at once.

    Inertia (S,) and assignments (S, N).
    """
    for _ in range(50):
        distance = _squared_distances(points, centres)  # (S, N, C)
        member = np.eye(centres.shape[1])[distance.argmin(axis=2)]  # (S, N, C)
        size = member.sum(axis=1)[..., None]  # (S, C, 1)
        mean = member.transpose(0, 2, 1) @ points / size.clip(min=1)
        moved = np.where(size > 0, mean, centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return distance.min(axis=2).sum(axis=1), distance.argmin(axis=2)


def _squared_distances(points: Matrix, centres: Matrix) -> Matrix:
    """Of points (N, D) to centres (..., C, D): (..., N, C)."""
    return np.asarray(((points[:, None] - centres[..., None, :, :]) ** 2).sum(axis=-1))


def _in_order_of_appearance(assignment: NDArray[np.int64]) -> NDArray[np.int64]:
    number: dict[int, int] = {}
    return np.array([number.setdefault(int(group), len(number)) for group in assignment])


def context_targets(labels: NDArray[np.int8], membership: Matrix) -> NDArray[np.int8]:
    """Which groups are active in each image: (N, K) labels and (K, C) groups to (N, C).

    1 if a label of the group is present, 0 if all are known to be absent, -1 otherwise.
    """
    present = (labels == 1) @ membership > 0
    all_absent = (labels == 0) @ membership >= membership.sum(axis=0)
    return np.where(present, 1, np.where(all_absent, 0, -1)).astype(np.int8)

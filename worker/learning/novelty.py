"""How unlike everything labelled a photo is: its distance to the nearest labelled photo.

For the review queue: where a model has seen nothing alike its confidence means little, and a
person's look teaches it most.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from worker.learning import checkpoint

Embeddings = NDArray[np.float32]  # (N, D) of unit length
Scores = NDArray[np.float64]

NOVELTY = "novelty.safetensors"
MOST_REFERENCES = 2_000
OUTERMOST = 0.95
BATCH = 1_024
# Rounding to half precision moves a unit vector by about this much.
LEAST_DISTANCE = 1e-3


def draw_references(count: int, seed: int) -> NDArray[np.int64]:
    """Which of `count` labelled photos are kept: at most 2,000, drawn by seed, in their order."""
    if count <= MOST_REFERENCES:
        return np.arange(count)
    drawn = np.random.default_rng(seed).choice(count, MOST_REFERENCES, replace=False)
    return np.sort(drawn)


@dataclass(frozen=True)
class Novelty:
    """`references` (M, D): unit features of labelled photos; `scale`: the distance that counts
    as one half."""

    references: NDArray[np.float16]
    scale: float

    @classmethod
    def fit(cls, labelled: Embeddings) -> Self:
        """Take labelled photos as what is known.

        The scale is the 95 % quantile of each labelled photo's distance to the nearest other one
        (leave-one-out). Raises `ValueError` for fewer than two photos.
        """
        if len(labelled) < 2:
            raise ValueError("what is novel is measured against at least two labelled photos")
        nearest = nearest_distances(labelled, labelled, leave_one_out=True)
        scale = max(float(np.quantile(nearest, OUTERMOST)), LEAST_DISTANCE)
        return cls(labelled.astype(np.float16), scale)

    def __call__(self, embeddings: Embeddings) -> Scores:
        """Novelty d / (d + s) of photos (N, D) as (N,) in 0..1.

        d = min_m ||z - r_m|| over unit features (Sun et al., ICML 2022, "Out-of-Distribution
        Detection with Deep Nearest Neighbors", with k = 1), s the scale. 0: just like a labelled
        photo; above one half: further off than 95 % of the labelled photos are from each other.
        """
        distance = nearest_distances(embeddings, self.references)
        return distance / (distance + self.scale)

    def save(self, path: Path) -> None:
        tensors = {"references": torch.from_numpy(self.references)}
        checkpoint.save(path, tensors, {"scale": self.scale})

    @classmethod
    def load(cls, path: Path) -> Self:
        tensors, header = checkpoint.load(path)
        return cls(tensors["references"].numpy(), float(header["scale"]))


def nearest_distances(
    embeddings: Embeddings,
    references: NDArray[np.floating],
    *,
    leave_one_out: bool = False,
) -> Scores:
    """Euclidean distance (N,) of each of (N, D) to the nearest of (M, D), all of unit length.

    With `leave_one_out` both are the same photos, and none is its own neighbour.
    """
    known = references.astype(np.float32)
    known /= np.linalg.norm(known, axis=1, keepdims=True)  # half precision rounds lengths too
    nearest = np.empty(len(embeddings))
    for first in range(0, len(embeddings), BATCH):
        cosines = embeddings[first : first + BATCH] @ known.T  # (B, M)
        if leave_one_out:
            rows = np.arange(len(cosines))
            cosines[rows, first + rows] = -np.inf
        nearest[first : first + BATCH] = cosines.max(axis=1)
    return np.asarray(np.sqrt((2 - 2 * nearest).clip(min=0)))

"""Random draws that follow from a seed and a position alone: a stopped training loses no state."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray


def chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def shuffled(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(rows)


def drawn(rows: NDArray[np.int64], start: int, count: int, *, seed: int) -> NDArray[np.int64]:
    """Entries `start` to `start + count` of an endless row of shuffles of `rows`.

    Every photo comes equally often, also where a batch is larger than the whole set.
    """
    first, last = start // len(rows), (start + count - 1) // len(rows)
    passes = [shuffled(rows, derive(seed, "pass", number)) for number in range(first, last + 1)]
    offset = start - first * len(rows)
    return np.concatenate(passes)[offset : offset + count]


def derive(seed: int, *what: str | int) -> int:
    """A seed of its own for each purpose: draws then need no state that a stop could lose."""
    digest = hashlib.sha256(json.dumps([seed, *what]).encode()).digest()
    return int.from_bytes(digest[:7])


def view_draws(seed: int, photo: str, number: int) -> torch.Generator:
    """Draws of one view of one photo, the same in whatever batch or training it is made."""
    return torch.Generator().manual_seed(derive(seed, "view", photo, number))

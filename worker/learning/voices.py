"""How much each voice of a head counts (aligner.py), measured on held-out labels."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from worker.learning.aligner import Aligner
from worker.learning.evidence import Evidence
from worker.learning.slopes import shared_slopes

Scores = NDArray[np.float64]
# What it takes for voices not to count alike, in nats for the squared distance of their shares from
# even ones. So 70 photos whose labels all but fit either way leave them even, and 200 that do not
# silence a voice (research/LOG.md).
TOWARDS_EVEN = 10.0
PARTS = 12  # that shares are counted in: even ones are among them for two and three voices
MOST_PHOTOS = 1000  # more would settle nothing else
SMALLEST_SPREAD = 1e-6


def voice_weights(held_out: Evidence) -> Scores | None:
    """Weights (V,) of voices, 1 together; None where voices are not told apart.

    Shares are of voices that are spread alike: one that speaks louder counts no more for that.
    """
    if held_out.voices is None:
        return None
    step = -(-len(held_out.labels) // MOST_PHOTOS)
    voices, labels = held_out.voices[::step], held_out.labels[::step]
    spread = _spread(voices)
    alike = voices / spread
    even = 1 / len(spread)

    def unlikeliness(share: Scores) -> float:
        mixed = (alike @ share)[..., None]  # (N, K, 1)
        loss = shared_slopes(mixed, labels, np.ones(1)).loss
        return loss + TOWARDS_EVEN * float(((share - even) ** 2).sum())

    weights = min(_shares(len(spread)), key=unlikeliness) / spread
    return np.asarray(weights / weights.sum())


def shares(weights: Scores, voices: Scores) -> Scores:
    """What each voice has in a score (V,), by how far it moves it: (V,) and (N, K, V)."""
    moved = weights * _spread(voices)
    return np.asarray(moved / moved.sum())


def on_card(head: nn.Module, held_out: Evidence | None) -> dict[str, Any]:
    """What a model card says of a head's voices, by name of the card's field."""
    if not isinstance(head, Aligner):
        return {"voices": {}}
    told: dict[str, Any] = {"voices": head.counted()}
    if held_out is None or held_out.voices is None:
        return told
    weights = np.array(list(told["voices"].values()))
    found = shares(weights, held_out.voices).tolist()
    return told | {"voice_shares": dict(zip(head.voices, found, strict=True))}


def _spread(voices: Scores) -> Scores:
    return np.asarray(voices.std(axis=(0, 1)).clip(min=SMALLEST_SPREAD))


def _shares(count: int) -> Iterator[Scores]:
    """All ways to share 1 among so many, in parts of a twelfth."""
    for parts in itertools.product(range(PARTS + 1), repeat=count):
        if sum(parts) == PARTS:
            yield np.array(parts) / PARTS

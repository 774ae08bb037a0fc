"""Part models, each trained without a part of the labelled photos: what it says of those counts.

They measure confidence, settle what held-out labels can settle, and vote on pseudo-labels beside
the teacher: a teacher that is alone confirms its own mistakes (query by committee, Seung et al.,
COLT 1992; ensembles as teachers: Laine & Aila, ICLR 2017).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from worker.learning.aligner import weigh
from worker.learning.evidence import Evidence, joined
from worker.learning.pairs import USUAL_WEIGHT
from worker.learning.plan import TrainingConfig
from worker.learning.slopes import shared_slopes
from worker.learning.voices import voice_weights

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]


# Settings whose worth depends on the photos, and what is tried where they are left open.
TRIALS: dict[str, tuple[str, Any, Any]] = {
    "paired": ("lambda_pairs", 0.0, USUAL_WEIGHT),
}


def trials(config: TrainingConfig) -> list[tuple[str, dict[str, Any]]]:
    """What a configuration leaves open: the name of each trial, and what it changes."""
    return [
        (name, {setting: value})
        for name, (setting, _, value) in TRIALS.items()
        if getattr(config, setting) is None
    ]


def settled(config: TrainingConfig) -> TrainingConfig:
    """The configuration without what is open: nothing is tried."""
    plain = {setting: value for setting, value, _ in TRIALS.values()}
    return replace(config, **{k: v for k, v in plain.items() if getattr(config, k) is None})


@dataclass(frozen=True)
class Committee:
    """`members`, and by the number of views that a score averages over, since that moves how sure
    it is, the scores of the photos that each did not train on; `weights` (V,) of their voices."""

    members: tuple[nn.Module, ...]
    held_out: Mapping[int, tuple[Evidence, ...]]
    weights: Scores | None = None

    @classmethod
    def nobody(cls) -> Self:
        return cls((), {})

    def evidence(self, views: int) -> Evidence:
        """Held-out scores of every labelled photo, part after part."""
        return joined(self.held_out[views])

    def weighed(self, views: int) -> "Committee":
        """Its voices count as much as the photos that the members did not see say."""
        weights = voice_weights(self.evidence(views))
        if weights is None:
            return self
        for member in self.members:
            weigh(member, weights)
        held_out = {
            count: tuple(part.weighed(weights) for part in parts)
            for count, parts in self.held_out.items()
        }
        return replace(self, held_out=held_out, weights=weights)

    def beats(self, other: "Committee", views: int) -> bool:
        """Whether the labels that the members did not see are likelier to them, by more than the
        standard error of the difference (one-standard-error rule: Breiman et al., Classification
        and Regression Trees, 1984, section 3.4.3).
        """
        gained = other._log_losses(views) - self._log_losses(views)
        return bool(gained.sum() > gained.std() * len(gained) ** 0.5)

    def _log_losses(self, views: int) -> Scores:
        """Of each photo's labels, in nats (N,), after calibration: some members speak louder."""
        seen = self.evidence(views)
        return shared_slopes(seen.logits[..., None], seen.labels, np.ones(1)).log_losses


class Votes:
    """The members' scores of unlabelled photos, each photo seen once however often it is asked."""

    def __init__(
        self,
        members: Sequence[nn.Module],
        score: Callable[[nn.Module, Rows], Scores],
        shape: tuple[int, int],
    ) -> None:
        self._members, self._score = members, score
        self._known = np.full((len(members), *shape), np.nan)  # (M, N, K)

    def __call__(self, rows: Rows) -> Scores:
        """Logits (M, n, K) of the photos at `rows`."""
        missing = rows[np.isnan(self._known[:, rows]).any(axis=(0, 2))]
        if len(missing):
            for known, member in zip(self._known, self._members, strict=True):
                known[missing] = self._score(member, missing)
        return self._known[:, rows]

"""What the other labels of its group say for a label: one weight, measured on held-out labels.

It is not learned with the rest: a label's own score fits the photos that it trains on so well that
nothing is left there for the others to explain.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.learning.contexts import ContextGroups
from worker.learning.evidence import Evidence
from worker.learning.slopes import shared_slopes

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class GroupEvidence:
    """`weight` of the mean score of the other labels of a group beside a label's own score."""

    groups: ContextGroups
    weight: float = 0.0

    @classmethod
    def fit(cls, groups: ContextGroups, held_out: Evidence | None) -> "GroupEvidence":
        """The weight that explains held-out labels best; 0 without any, or without groups."""
        if held_out is None or not groups.active:
            return cls(groups)
        return cls(groups, _fit(held_out, held_out.logits @ mean_of_others(groups).T))

    @property
    def mix(self) -> Scores:
        """(K, K): what is added to the scores of a label, by the scores of each other one."""
        return self.weight * mean_of_others(self.groups)

    def __call__(self, logits: Scores) -> Scores:
        """Logits (N, K) with what the groups say."""
        return logits + logits @ self.mix.T

    def on(self, seen: Evidence | None) -> Evidence | None:
        return None if seen is None else replace(seen, logits=self(seen.logits))


def mean_of_others(groups: ContextGroups) -> Scores:
    """(K, K) that averages over the other labels of each label's group; 0 for one that is alone."""
    membership = groups.membership()
    others = membership @ membership.T - np.eye(len(membership))
    return np.asarray(others / others.sum(axis=1, keepdims=True).clip(min=1))


def _fit(seen: Evidence, others: Scores) -> float:
    """What the others' mean score (N, K) counts beside a label's own.

    Labels that shun each other get no negative weight: a group says that its labels come together.
    """
    scores = np.stack([seen.logits, others], axis=-1)  # (N, K, 2)
    own, other = shared_slopes(scores, seen.labels, np.array([1.0, 0.0])).values
    return max(float(other / own), 0.0) if own > 0 else 0.0

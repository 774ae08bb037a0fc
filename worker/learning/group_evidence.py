"""What the other labels of its group say for a label: one weight, measured on held-out labels.

It is not learned with the rest: a label's own score fits the photos that it trains on so well that
nothing is left there for the others to explain.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from worker.learning.contexts import ContextGroups
from worker.learning.evidence import Evidence

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
    """Logistic regression of every known cell on its own score and that of the others (N, K).

    Both slopes are shared by all labels, the intercept is each label's own. Normal priors around
    "only the own score counts" keep few photos from saying much. Labels that shun each other get
    no negative weight: a group says that its labels come together.
    """
    known = seen.labels >= 0
    sign = np.where(seen.labels == 1, 1.0, -1.0)

    def loss(parameters: Scores) -> tuple[float, Scores]:
        own, other, bias = parameters[0], parameters[1], parameters[2:]
        score = sign * (own * seen.logits + other * others + bias)
        slope = -sign * expit(-score) * known
        away = parameters - start
        gradient = np.concatenate(
            [[(slope * seen.logits).sum(), (slope * others).sum()], slope.sum(axis=0)]
        )
        total = float((np.logaddexp(0, -score) * known).sum() + (precision * away**2).sum() / 2)
        return total, gradient + precision * away

    n_labels = seen.labels.shape[1]
    start = np.concatenate([[1.0, 0.0], np.zeros(n_labels)])
    precision = np.concatenate([[1.0, 1.0], np.full(n_labels, 0.01)])
    own, other = minimize(loss, start, jac=True, method="L-BFGS-B").x[:2]
    return max(float(other / own), 0.0) if own > 0 else 0.0

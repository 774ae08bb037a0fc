"""How much each of several scores counts, measured on held-out labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Slopes:
    """`values` (S,) with each label's `intercepts` (K,), and how badly they explain the labels, in
    nats: `loss` with the priors, `log_losses` (N,) of each photo's labels."""

    values: Scores
    intercepts: Scores
    loss: float
    log_losses: Scores


def shared_slopes(
    scores: Scores, labels: NDArray[np.int8], start: Scores, *, spread: float = 10.0
) -> Slopes:
    """Logistic regression of every known cell (N, K) on its S scores (N, K, S).

    All labels share the slopes, the intercept is each label's own. Normal priors keep few photos
    from saying much: the slopes' around `start` (S,), the intercepts' around one that all labels
    share, with standard deviation `spread`.
    """
    known = labels >= 0
    sign = np.where(labels == 1, 1.0, -1.0)
    n_labels, n_scores = scores.shape[1:]

    def signed(parameters: Scores) -> Scores:
        slopes, shared, own = np.split(parameters, [n_scores, n_scores + 1])
        return np.asarray(sign * (scores @ slopes + shared + own))

    def log_losses(score: Scores) -> Scores:
        return np.asarray(np.logaddexp(0, -score) * known)

    def loss(parameters: Scores) -> tuple[float, Scores]:
        score = signed(parameters)
        slope = -sign * expit(-score) * known
        away = parameters - centre
        towards = [np.einsum("nk,nks->s", slope, scores), [slope.sum()], slope.sum(axis=0)]
        total = float(log_losses(score).sum() + (precision * away**2).sum() / 2)
        return total, np.concatenate(towards) + precision * away

    centre = np.concatenate([start, np.zeros(1 + n_labels)])
    precision = np.array([1.0] * n_scores + [0.01] + [spread**-2] * n_labels)
    found = minimize(loss, centre, jac=True, method="L-BFGS-B")
    slopes, shared, own = np.split(found.x, [n_scores, n_scores + 1])
    each = log_losses(signed(found.x)).sum(axis=1)
    return Slopes(slopes, shared + own, float(found.fun), each)

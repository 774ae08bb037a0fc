"""How much each of several scores counts, measured on held-out labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Slopes:
    """`values` (S,), and how badly they explain the labels, in nats: `loss` with the priors,
    `log_losses` (N,) of each photo's labels."""

    values: Scores
    loss: float
    log_losses: Scores


def shared_slopes(scores: Scores, labels: NDArray[np.int8], start: Scores) -> Slopes:
    """Logistic regression of every known cell (N, K) on its S scores (N, K, S).

    All labels share the slopes, the intercept is each label's own. Normal priors around `start`
    (S,) keep few photos from saying much.
    """
    known = labels >= 0
    sign = np.where(labels == 1, 1.0, -1.0)
    n_labels, n_scores = scores.shape[1:]

    def signed(parameters: Scores) -> Scores:
        return np.asarray(sign * (scores @ parameters[:n_scores] + parameters[n_scores:]))

    def log_losses(score: Scores) -> Scores:
        return np.asarray(np.logaddexp(0, -score) * known)

    def loss(parameters: Scores) -> tuple[float, Scores]:
        score = signed(parameters)
        slope = -sign * expit(-score) * known
        away = parameters - centre
        gradient = np.concatenate([np.einsum("nk,nks->s", slope, scores), slope.sum(axis=0)])
        total = float(log_losses(score).sum() + (precision * away**2).sum() / 2)
        return total, gradient + precision * away

    centre = np.concatenate([start, np.zeros(n_labels)])
    precision = np.concatenate([np.ones(n_scores), np.full(n_labels, 0.01)])
    found = minimize(loss, centre, jac=True, method="L-BFGS-B")
    each = log_losses(signed(found.x)).sum(axis=1)
    return Slopes(found.x[:n_scores], float(found.fun), each)

"""Calibration curves: maps from one label's score to the chance that the label is present.

Five families, from no correction to a free monotone step; the one with the least cross-validated
log loss is taken. No curve reverses or ties the ranking of two scores.
"""

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, log_expit

Scores = NDArray[np.float64]
Answers = NDArray[np.bool_]

CHOICE_FOLDS = 5
# A steeper or flatter slope than this is a lucky sample, not a distortion.
SLOPES = (0.05, 20.0)
SHIFTS = (-20.0, 20.0)
RIDGE = 1e-3
# The share of the uncorrected score in a step curve: flat parts must not tie what was ranked.
TIE_BREAK = 0.01


class Family(StrEnum):
    IDENTITY = "identity"
    TEMPERATURE = "temperature"  # Guo et al., ICML 2017
    PLATT = "platt"  # Platt 1999
    BETA = "beta"  # Kull et al., AISTATS 2017
    ISOTONIC = "isotonic"  # Zadrozny & Elkan, KDD 2002


# In order of freedom: of two equally good families the plainer one is taken.
SMOOTH = (Family.TEMPERATURE, Family.PLATT, Family.BETA)
ALL = (*SMOOTH, Family.ISOTONIC)


@dataclass(frozen=True)
class Curve:
    """`parameters`: the slope; slope and shift; two slopes and shift; or knots, logits first."""

    family: Family = Family.IDENTITY
    parameters: tuple[float, ...] = ()

    def __call__(self, logits: Scores) -> Scores:
        """Logits of any shape to probabilities of that shape."""
        if self.family is Family.ISOTONIC:
            knots = np.array(self.parameters).reshape(2, -1)
            return np.asarray(
                (1 - TIE_BREAK) * np.interp(logits, knots[0], knots[1]) + TIE_BREAK * expit(logits)
            )
        if self.family is Family.IDENTITY:
            return np.asarray(expit(logits))
        features = _features(self.family, logits)  # (..., F)
        return np.asarray(expit(features @ np.array(self.parameters)))

    @classmethod
    def fit(cls, family: Family, logits: Scores, answers: Answers) -> Self:
        """The curve of a family that fits scores (M,) and answers (M,) best."""
        if family is Family.IDENTITY or len(answers) == 0:
            return cls()
        if family is Family.ISOTONIC:
            return cls(family, _isotonic(logits, answers))
        return cls(family, _logistic(_features(family, logits), answers))


def choose_curve(logits: Scores, answers: Answers, families: tuple[Family, ...]) -> Curve:
    """The curve of least log loss on scores that it was not fitted to, (M,) each.

    Folds are every fifth score in order of score, so that each sees the whole range.
    """
    fold = np.empty(len(answers), dtype=int)
    fold[np.argsort(logits, kind="stable")] = np.arange(len(answers)) % CHOICE_FOLDS

    def loss(family: Family) -> float:
        losses = []
        for number in range(CHOICE_FOLDS):
            held = fold == number
            curve = Curve.fit(family, logits[~held], answers[~held])
            losses.append(_log_loss(curve(logits[held]), answers[held]))
        return float(np.concatenate(losses).mean())

    return Curve.fit(min(families, key=loss), logits, answers)


def _features(family: Family, logits: Scores) -> Scores:
    """What a logistic curve is linear in, (..., F); its slopes stand before its shift."""
    logits = np.asarray(logits, dtype=float)
    one = np.ones_like(logits)
    if family is Family.TEMPERATURE:
        return logits[..., None]
    if family is Family.PLATT:
        return np.stack([logits, one], axis=-1)
    # Beta calibration: a ln p - b ln(1 - p) + c, which for a = b is Platt's.
    return np.stack([log_expit(logits), -log_expit(-logits), one], axis=-1)


def _logistic(features: Scores, answers: Answers) -> tuple[float, ...]:
    """Ridge logistic regression of answers (M,) on features (M, F), slopes bounded.

    Platt's smoothed targets keep the curve finite where all answers are alike.
    """
    positives, negatives = float(answers.sum()), float((~answers).sum())
    target = np.where(answers, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    n_slopes = max(features.shape[1] - 1, 1)
    start = np.array([1.0] * n_slopes + [0.0] * (features.shape[1] - n_slopes))
    is_slope = np.arange(len(start)) < n_slopes

    def loss(theta: Scores) -> tuple[float, Scores]:
        score = features @ theta
        away = (theta - start) * is_slope
        value = (np.logaddexp(0, score) - target * score).mean() + RIDGE * (away**2).sum()
        gradient = ((expit(score) - target)[:, None] * features).mean(axis=0) + 2 * RIDGE * away
        return float(value), gradient

    bounds = [SLOPES if slope else SHIFTS for slope in is_slope]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return tuple(float(value) for value in found.x)


def _isotonic(logits: Scores, answers: Answers) -> tuple[float, ...]:
    """Knots of the monotone step of least squares, joined by lines: the middle of each step.

    One answer of each kind is added to a step, so that no step promises certainty.
    """
    order = np.argsort(logits, kind="stable")
    steps = isotonic_regression(answers[order].astype(float)).blocks
    middle, share = [], []
    for first, end in itertools.pairwise(steps):
        inside = order[first:end]
        middle.append(float(logits[inside].mean()))
        share.append((float(answers[inside].sum()) + 0.5) / (len(inside) + 1))
    return (*middle, *np.maximum.accumulate(share).tolist())


def _log_loss(probabilities: Scores, answers: Answers) -> Scores:
    likelihood = np.where(answers, probabilities, 1 - probabilities)
    return np.asarray(-np.log(likelihood.clip(min=1e-12)))

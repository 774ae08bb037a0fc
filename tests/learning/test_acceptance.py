"""Promises about automatic acceptance: exact where arithmetic knows the answer, kept when drawn."""

import numpy as np
import pytest
from mapie.risk_control import BinaryClassificationController

from worker.learning.acceptance import (
    GRID,
    error_upper_bound,
    fewest_accepted,
    fewest_trials,
    promise,
)


def answers(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated chances (n,), mostly sure ones, and labels drawn from them."""
    chance = rng.beta(0.3, 0.3, n)
    return chance, (rng.random(n) < chance).astype(np.int8)


def test_bound_without_errors_is_the_closed_form():
    assert error_upper_bound(0, 230, confidence=0.9) == pytest.approx(1 - 0.1 ** (1 / 230))
    assert error_upper_bound(0, 0) == 1.0
    assert error_upper_bound(3, 3) == 1.0
    assert error_upper_bound(1, 100) > 0.01


def test_the_fewest_trials_are_those_that_suffice():
    needed = fewest_trials(0.05, 0.05)
    assert error_upper_bound(0, needed) <= 0.05 < error_upper_bound(0, needed - 1)


@pytest.mark.parametrize("value", [0, 1])
def test_a_promise_holds_in_nearly_all_resamplings(value):
    rng, alpha, delta = np.random.default_rng(value), 0.05, 0.05
    population, truth = answers(400_000, rng)
    confidence = population if value else 1 - population
    kept, made = 0, 0
    for _ in range(200):
        rows = rng.integers(0, len(truth), 500)
        promised = promise(population[rows], truth[rows], value=value, alpha=alpha, delta=delta)
        if promised is None:
            continue
        made += 1
        error = (truth[confidence >= promised.threshold] != value).mean()
        kept += error <= alpha
    assert made > 150
    assert kept >= 0.95 * made


def test_too_few_photos_promise_nothing():
    labels = np.ones(40, np.int8)
    assert promise(np.full(40, 0.999), labels, value=1, alpha=0.05, delta=0.05) is None
    labels = np.ones(80, np.int8)
    assert promise(np.full(80, 0.99995), labels, value=1, alpha=0.05, delta=0.05) is not None


def test_unknown_labels_take_no_part():
    chance, labels = answers(2000, np.random.default_rng(0))
    known = promise(chance[:1000], labels[:1000], value=1, alpha=0.05, delta=0.05)
    labels[1000:] = -1
    assert promise(chance, labels, value=1, alpha=0.05, delta=0.05) == known


def test_one_error_among_the_surest_does_not_end_everything():
    """Of 600 answers the second surest is wrong, and no other."""
    chance = np.linspace(0.99995, 0.6, 600)
    labels = np.ones(600, np.int8)
    labels[1] = 0
    made = promise(chance, labels, value=1, alpha=0.05, delta=0.05)
    assert made is not None
    assert (made.accepted, made.errors) == (600, 1)


def test_scores_that_lie_are_not_trusted():
    rng = np.random.default_rng(0)
    labels = (rng.random(2000) < 0.5).astype(np.int8)
    assert promise(np.full(2000, 0.99995), labels, value=1, alpha=0.05, delta=0.05) is None


def test_a_promise_is_about_an_answer():
    with pytest.raises(ValueError, match="present or absent"):
        promise(np.zeros(1), np.zeros(1, np.int8), value=-1, alpha=0.05, delta=0.05)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("seed", range(6))
def test_mapie_promises_the_same(value, seed):
    """Its p-values (Hoeffding-Bentkus) are a little wider than exact ones: at most a step apart."""
    alpha, delta = 0.05, 0.05
    chance, labels = answers(1500, np.random.default_rng(seed))
    ours = promise(chance, labels, value=value, alpha=alpha, delta=delta)
    sure = chance if value else 1 - chance
    enough = [t for t in GRID if (sure >= t).sum() >= fewest_accepted(sure, alpha, delta)]
    oracle = BinaryClassificationController(
        lambda x: np.stack([1 - x, x], axis=1),
        "precision",
        target_level=1 - alpha,
        confidence_level=1 - delta,
        list_predict_params=np.array(enough),
        fwer_method="fixed_sequence",
    ).calibrate(sure, (labels == value).astype(int))
    assert ours is not None
    steps_wider = enough.index(ours.threshold) - enough.index(oracle.valid_predict_params.min())
    assert 0 <= steps_wider <= 1

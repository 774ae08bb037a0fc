"""The demo's own scores, held against hand-computed values and against those of the workers."""

import numpy as np
import pytest

from app.demo.scoring import average_precision, reliability
from worker.learning.metrics import average_precisions


def test_average_precision_by_hand():
    truth = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    assert average_precision(truth, scores) == pytest.approx((1 + 2 / 3) / 2)


def test_a_constant_score_gains_nothing():
    truth = np.array([True, False, False, False])
    assert average_precision(truth, np.full(4, 0.5)) == pytest.approx(0.25)


def test_no_positive_has_no_score():
    assert average_precision(np.zeros(3, dtype=bool), np.ones(3)) is None


def test_it_agrees_with_what_the_workers_measure():
    generator = np.random.default_rng(0)
    truth = generator.random((200, 3)) < 0.3
    scores = generator.random((200, 3)) * 0.5 + truth * generator.random((200, 3))
    theirs = average_precisions(scores, truth.astype(np.int8))
    ours = [average_precision(truth[:, k], scores[:, k]) for k in range(3)]
    assert ours == pytest.approx(theirs.tolist())


def test_perfect_confidence_has_no_calibration_error():
    truth = np.array([True] * 8 + [False] * 2)
    assert reliability(truth, np.full(10, 0.8)).expected_error == pytest.approx(0)
    assert reliability(truth, np.full(10, 0.3)).expected_error == pytest.approx(0.5)

"""The paired bootstrap on planted scores."""

import math

import numpy as np
import pytest

from worker.learning.comparison import ap_difference, recalls


def planted(noise, *, n=200, share=0.3, seed=0):
    """Labels, and scores that follow them with so much noise."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(np.int8)
    return labels, labels + rng.normal(0, noise, n)


def test_equal_scores_differ_by_nothing():
    labels, scores = planted(0.7)
    found = ap_difference(scores, scores, labels)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert found.positives == int(labels.sum())


def test_a_worse_model_is_found_out():
    labels, good = planted(0.3)
    _, bad = planted(2.0, seed=0)
    found = ap_difference(bad, good, labels)
    assert found.low < found.value < found.high < 0
    assert ap_difference(good, bad, labels).low > 0


def test_pairing_makes_the_interval_narrow():
    labels, scores = planted(0.7)
    nearly = scores + np.random.default_rng(1).normal(0, 0.01, len(scores))
    paired = ap_difference(nearly, scores, labels)
    _, unrelated = planted(0.7, seed=5)
    apart = ap_difference(labels + (unrelated - unrelated.mean()), scores, labels)
    assert paired.high - paired.low < 0.2 * (apart.high - apart.low)


def test_unknown_cells_have_no_part():
    labels, scores = planted(0.5)
    other = scores.copy()
    labels[:50] = -1
    other[:50] = 99
    assert ap_difference(other, scores, labels).value == 0


@pytest.mark.parametrize("labels", [np.zeros(5, np.int8), np.full(5, -1, np.int8)])
def test_without_a_positive_nothing_is_said(labels):
    found = ap_difference(np.arange(5.0), np.arange(5.0), labels)
    assert found.positives == 0
    assert math.isnan(found.low)


def test_recall_needs_positives():
    labels = np.array([[1, 1], [1, 0], [0, -1], [1, 0]], np.int8)
    probabilities = np.array([[0.9, 0.9], [0.4, 0.9], [0.9, 0.9], [0.6, 0.1]])
    assert recalls(probabilities, labels, fewest=3) == [pytest.approx(2 / 3), None]

"""Precision of two versions on the same photos is what the gate computes, draw for draw."""

import numpy as np
import pytest

from app.pseudolabels.paired import FEWEST_DRAWS, MOST_DRAWS, draw, precision
from worker.learning.comparison import ap_difference
from worker.learning.metrics import average_precision


@pytest.fixture
def photos():
    """Scores of two versions with ties, and what people say: 80 photos, about a third present."""
    chance = np.random.default_rng(5)
    present = chance.random(80) < 0.3
    new = np.round(0.5 * present + 0.5 * chance.random(80), 1)
    old = np.round(0.2 * present + 0.8 * chance.random(80), 1)
    return new, old, present


def test_the_difference_and_its_bounds_are_the_gates(photos):
    new, old, present = photos
    drawn = draw(len(present))
    ours = precision(new, present, drawn).minus(precision(old, present, drawn))
    gates = ap_difference(new, old, present.astype(np.int8))
    assert (ours.value, ours.low, ours.high) == pytest.approx((gates.value, gates.low, gates.high))
    assert ours.low > 0, "planted: the new one sees more"


def test_the_value_counts_ties_together_as_metrics_do(photos):
    _, old, present = photos
    found = precision(old, present, draw(len(present))).estimate()
    assert found.value == pytest.approx(average_precision(old, present.astype(np.int8)))
    assert found.low < found.value < found.high


def test_a_version_does_not_differ_from_itself(photos):
    new, _, present = photos
    drawn = draw(len(present))
    same = precision(new, present, drawn).minus(precision(new, present, drawn))
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_nothing_drawn_leaves_a_value_without_bounds():
    present = np.array([True, False])
    found = precision(np.array([0.9, 0.1]), present, np.zeros((0, 2), dtype=np.int32))
    assert (found.estimate().value, found.estimate().low, found.estimate().high) == (1, None, None)


def test_each_draw_has_as_many_photos_and_large_sets_are_drawn_less_often():
    few, many = draw(10), draw(5000)
    assert few.shape == (MOST_DRAWS, 10)
    assert set(few.sum(axis=1)) == {10}
    assert many.shape == (FEWEST_DRAWS, 5000)

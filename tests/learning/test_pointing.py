"""The pointing game on shapes whose distances are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.learning.pointing import (
    Pair,
    covered,
    distance_to_boxes,
    distance_to_mask,
    places,
    play,
)

BOXES = np.array([[10, 20, 30, 24], [50, 50, 60, 60]])  # x1, y1, x2, y2


@pytest.mark.parametrize(
    ("row", "column", "distance"),
    [(22, 20, 0), (24, 30, 0), (22, 33, 3), (27, 34, 5), (55, 47, 3), (70, 55, 10)],
)
def test_distance_to_the_nearest_box(row, column, distance):
    assert distance_to_boxes(np.array([[row, column]]), BOXES) == pytest.approx([distance])


def test_nothing_is_infinitely_far():
    points = np.zeros((2, 2))
    assert np.isinf(distance_to_boxes(points, np.empty((0, 4), dtype=int))).all()
    assert np.isinf(distance_to_mask(points, np.zeros((4, 4), dtype=bool))).all()


@given(st.floats(0, 80), st.floats(0, 80))
def test_a_mask_of_a_box_is_as_far_as_the_box(row, column):
    mask = np.zeros((80, 80), dtype=bool)
    mask[20:24, 10:30] = True
    point = np.array([[row, column]])
    assert distance_to_mask(point, mask) == pytest.approx(distance_to_boxes(point, BOXES[:1]))


def test_overlapping_boxes_cover_once():
    assert covered(np.array([[0, 0, 5, 10], [0, 0, 5, 10]]), 10, 10) == 0.5


def test_places_are_centres_row_by_row():
    assert places(2, 100, 40).tolist() == [[25, 10], [25, 30], [75, 10], [75, 30]]


def test_the_game_counts_peaks_and_knows_chance():
    pairs = [
        Pair("a", 0.0, np.array([0.0, 9, 9, 9]), 0.1),
        Pair("b", 15.0, np.array([0.0, 2, 9, 9]), 0.3),
        Pair("b", 15.1, np.array([16.0, 16, 16, 16]), 0.2),
    ]
    exact, near = play(pairs, 0.0), play(pairs, 15.0)
    assert (exact.hits, exact.by_lot) == pytest.approx((1 / 3, 1 / 6))
    assert (near.hits, near.by_lot) == pytest.approx((2 / 3, 2 / 3))
    assert near.area == pytest.approx(0.2)


def test_no_pairs_give_no_figure():
    game = play([], 15.0)
    assert game.pairs == 0
    assert np.isnan([game.hits, game.by_lot, game.area]).all()

"""Figures against small cases that were worked out by hand."""

import numpy as np
import pytest

from worker.learning.metrics import (
    average_precision,
    class_f1,
    evaluate,
    mean_average_precision,
    overall_f1,
    pseudo_label_quality,
)


def test_average_precision_by_hand():
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0], dtype=np.int8)
    assert average_precision(scores, labels) == pytest.approx((1 + 2 / 3) / 2)


def test_ties_do_not_depend_on_order():
    scores, labels = np.ones(4), np.array([1, 0, 0, 0], dtype=np.int8)
    assert average_precision(scores, labels) == pytest.approx(0.25)
    assert average_precision(scores, labels[::-1]) == pytest.approx(0.25)


def test_unknown_cells_have_no_part():
    scores, labels = np.array([0.9, 0.8, 0.7]), np.array([-1, 1, 0], dtype=np.int8)
    assert average_precision(scores, labels) == 1.0


def test_labels_without_positives_are_left_out_of_the_mean():
    scores = np.array([[0.9, 0.1], [0.1, 0.9]])
    labels = np.array([[1, 0], [0, 0]], dtype=np.int8)
    assert mean_average_precision(scores, labels) == 1.0
    assert np.isnan(mean_average_precision(scores, np.zeros((2, 2), dtype=np.int8)))


def test_f1_by_hand():
    predicted = np.array([[True, True], [True, False]])
    labels = np.array([[1, 0], [0, 1]], dtype=np.int8)
    assert overall_f1(predicted, labels) == pytest.approx(0.4)
    # Precisions 1/2 and 0, recalls 1 and 0.
    assert class_f1(predicted, labels) == pytest.approx(2 * 0.25 * 0.5 / 0.75)


def test_interval_holds_the_estimate_and_narrows_with_images():
    rng = np.random.default_rng(0)
    labels = (rng.random((800, 2)) < 0.3).astype(np.int8)
    scores = (0.3 * labels + 0.7 * rng.random(labels.shape)).astype(float)
    many, few = evaluate(scores, labels), evaluate(scores[:100], labels[:100])
    assert many.map.low < many.map.value < many.map.high
    assert many.map.high - many.map.low < few.map.high - few.map.low
    assert many.positives == tuple((labels == 1).sum(axis=0))


def test_a_set_without_positives_is_not_a_number():
    nothing = evaluate(np.full((5, 1), 0.2), np.zeros((5, 1), dtype=np.int8), draws=5)
    assert np.isnan(nothing.map.value)
    assert np.isnan(nothing.ap[0].low)


def test_pseudo_label_quality_by_hand():
    selected = np.array([[1, 0], [1, -1], [-1, 1]], dtype=np.int8)
    labels = np.array([[1, 0], [0, 1], [1, -1]], dtype=np.int8)
    assert pseudo_label_quality(selected, labels, value=1) == (0.5, pytest.approx(1 / 3))
    assert pseudo_label_quality(selected, labels, value=0) == (1.0, 0.5)

"""Pseudo-labels follow the classes' shares, or the precision that was asked for."""

import numpy as np
import pytest

from worker.learning.thresholds import (
    Thresholds,
    class_aware_thresholds,
    class_prior,
    precision_thresholds,
    select,
)


def test_as_many_positives_as_the_prior_expects():
    scores = np.random.default_rng(0).random((1000, 2))
    chosen = select(scores, class_aware_thresholds(scores, np.array([0.1, 0.4])))
    assert (chosen.value == 1).mean(axis=0) == pytest.approx([0.1, 0.4], abs=0.002)
    assert (chosen.value == 0).mean(axis=0) == pytest.approx([0.9, 0.6], abs=0.002)


def test_keeping_fewer_leaves_a_band_undecided():
    scores = np.random.default_rng(0).random((1000, 1))
    thresholds = class_aware_thresholds(scores, np.array([0.2]), keep_negative=0.5)
    chosen = select(scores, thresholds)
    assert (chosen.value == -1).mean() == pytest.approx(0.4, abs=0.002)
    assert (chosen.confidence[chosen.value == -1] == 0).all()


def test_the_prior_counts_known_labels_only():
    labels = np.array([[1, -1], [0, -1], [0, 1]], dtype=np.int8)
    assert class_prior(labels) == pytest.approx([1.5 / 4, 1.5 / 2])


def test_equal_scores_become_one_answer():
    chosen = select(*[(s := np.full((10, 1), 0.3)), class_aware_thresholds(s, np.array([0.3]))])
    assert len(np.unique(chosen.value)) == 1


def test_thresholds_reach_the_precision_asked_for():
    rng = np.random.default_rng(1)
    probability = rng.random((4000, 1))
    labels = (rng.random((4000, 1)) < probability).astype(np.int8)
    thresholds = precision_thresholds(
        probability, labels, present_precision=0.8, absent_precision=0.9
    )
    fresh = rng.random((4000, 1))
    real = rng.random((4000, 1)) < fresh
    chosen = select(fresh, thresholds).value
    assert real[chosen == 1].mean() == pytest.approx(0.8, abs=0.04)
    assert 1 - real[chosen == 0].mean() == pytest.approx(0.9, abs=0.04)


def test_a_label_without_positives_gets_no_pseudo_labels():
    probability = np.random.default_rng(0).random((50, 2))
    labels = np.stack([np.arange(50) % 2, np.zeros(50)], axis=1).astype(np.int8)
    chosen = select(probability, precision_thresholds(probability, labels))
    assert (chosen.value[:, 1] == -1).all()


def test_closed_thresholds_select_nothing():
    chosen = select(np.array([[0.0, 1.0]]), Thresholds.closed(2))
    assert (chosen.value == -1).all()


def test_costs_move_thresholds_to_where_answers_cost_least():
    """Nothing decided by cost: calibrated probabilities themselves, and an easy bar."""
    rng = np.random.default_rng(2)
    probability = rng.random((4000, 2))
    labels = (rng.random((4000, 2)) < probability).astype(np.int8)
    thresholds = precision_thresholds(
        probability, labels, miss_costs=(1.0, 4.0), present_precision=0.5, absent_precision=0.5
    )
    assert thresholds.present == pytest.approx((0.5, 0.2), abs=0.001)
    assert thresholds.absent == pytest.approx((0.5, 0.2), abs=0.001)


def test_costly_misses_get_more_suggestions_of_presence_and_surer_ones_of_absence():
    rng = np.random.default_rng(3)
    probability = np.repeat(rng.beta(0.3, 0.3, (6000, 1)), 2, axis=1)
    labels = np.repeat((rng.random((6000, 1)) < probability[:, :1]).astype(np.int8), 2, axis=1)
    chosen = select(probability, precision_thresholds(probability, labels, miss_costs=(1.0, 5.0)))
    plain, dear = chosen.value.T
    assert (plain == 1).sum() < (dear == 1).sum()
    assert (plain == 0).sum() > (dear == 0).sum() > 0
    missed = [(labels[value == 0, 0] == 1).mean() for value in (plain, dear)]
    # 19 right answers for a wrong one become 95.
    assert missed[0] <= 1 / 20
    assert missed[1] <= 1 / 96

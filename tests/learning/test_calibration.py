"""Calibration against scores of known distortion."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.special import expit

from worker.learning.calibration import (
    Calibration,
    cross_calibrate,
    expected_calibration_error,
)
from worker.learning.curves import ALL, Curve, Family, choose_curve


def distorted(n_images: int, n_labels: int = 2, seed: int = 0):
    """Logits that are twice too sure and shifted by one, and answers to them."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 1.5, (n_images, n_labels))
    labels = (rng.random(honest.shape) < expit(honest)).astype(np.int8)
    return 2 * honest + 1, labels


def test_a_linear_distortion_is_undone():
    logits, labels = distorted(4000)
    calibration = Calibration.fit(logits, labels)
    assert calibration.own == (True, True)
    probe = np.repeat(np.linspace(-4, 5, 10)[:, None], 2, axis=1)
    assert calibration(probe) == pytest.approx(expit((probe - 1) / 2), abs=0.05)


def test_calibration_lowers_the_error_on_unseen_labels():
    logits, labels = distorted(2000)
    before = expected_calibration_error(expit(logits), labels)
    after = expected_calibration_error(cross_calibrate(logits, labels), labels)
    assert after < 0.03 < before


def test_with_little_evidence_labels_share_a_slope_but_not_a_shift():
    logits, labels = distorted(100)
    logits[:, 1] -= 3  # one label is overrated, the other underrated
    calibration = Calibration.fit(logits, labels)
    assert calibration.own == (False, False)
    (slope, over), (same, under) = (curve.parameters for curve in calibration.curves)
    assert slope == same
    assert under - over == pytest.approx(1.5, abs=0.5)
    fresh, answers = distorted(4000, seed=1)
    fresh[:, 1] -= 3
    assert expected_calibration_error(calibration(fresh), answers) < 0.05


def test_a_label_that_nobody_has_seen_is_calibrated_like_the_others():
    logits, labels = distorted(200, 3)
    labels[:, 2] = -1
    calibration = Calibration.fit(logits, labels)
    shifts = [curve.parameters[1] for curve in calibration.curves]
    assert min(shifts[:2]) <= shifts[2] <= max(shifts[:2])


def test_a_label_without_positives_is_not_ruled_out():
    logits, labels = distorted(60)
    labels[:, 1] = 0
    rarest = Calibration.fit(logits, labels)(logits)[:, 1].mean()
    assert 0.002 < rarest < 0.1


def test_scores_that_mislead_are_not_turned_round():
    logits, labels = distorted(200)
    calibration = Calibration.fit(-logits, labels)
    assert all(curve.parameters[0] > 0 for curve in calibration.curves)


@pytest.mark.parametrize("family", ALL)
def test_ranking_is_never_reversed_nor_tied(family):
    logits, labels = distorted(200, 1)
    curve = Curve.fit(family, -logits[:, 0], labels[:, 0] == 1)
    probabilities = curve(np.linspace(-6, 6, 50))
    assert (np.diff(probabilities) > 0).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


@pytest.mark.parametrize("family", ALL)
def test_unknown_and_one_sided_labels_stay_finite(family):
    logits = np.random.default_rng(0).normal(size=30)
    for answers in (np.zeros(30, bool), np.ones(30, bool), np.zeros(0, bool)):
        curve = Curve.fit(family, logits[: len(answers)], answers)
        assert np.isfinite(curve(logits)).all()


def test_a_step_is_found_where_curves_of_three_numbers_fail():
    rng = np.random.default_rng(0)
    logits = rng.uniform(-6, 6, 6000)
    chance = np.where(logits < -2, 0.05, np.where(logits < 3, 0.4, 0.95))
    answers = rng.random(len(logits)) < chance
    curve = choose_curve(logits, answers, ALL)
    assert curve.family is Family.ISOTONIC
    assert curve(np.array([-4.0, 0.0, 5.0])) == pytest.approx([0.05, 0.4, 0.95], abs=0.05)


def test_the_plainest_family_that_suffices_is_chosen():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 4000)
    answers = rng.random(len(logits)) < expit(logits / 2)
    curve = choose_curve(logits, answers, ALL)
    assert curve.family is not Family.ISOTONIC
    assert curve(np.array([2.0])) == pytest.approx(expit(1.0), abs=0.03)


def test_beta_bends_each_end_by_itself():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 20_000)
    honest = np.where(logits > 0, logits / 3, logits)
    answers = rng.random(len(logits)) < expit(honest)
    curve = Curve.fit(Family.BETA, logits, answers)
    assert curve(np.array([3.0])) == pytest.approx(expit(1.0), abs=0.05)
    assert curve(np.array([-3.0])) == pytest.approx(expit(-3.0), abs=0.05)


def test_no_evidence_is_no_correction():
    assert Calibration.identity(1)(np.array([[0.0]])) == pytest.approx(0.5)


def test_it_survives_a_file():
    calibration = Calibration.fit(*distorted(2000))
    document = json.loads(json.dumps(dataclasses.asdict(calibration)))
    assert Calibration.from_json(document) == calibration

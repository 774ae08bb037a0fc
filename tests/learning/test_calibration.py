"""Calibration against scores of known distortion; bounds against scipy-free arithmetic."""

import numpy as np
import pytest

from worker.learning.calibration import (
    Platt,
    cross_calibrate,
    error_upper_bound,
    expected_calibration_error,
    fit_platt,
)


def distorted(n_images: int, n_labels: int = 2, seed: int = 0):
    """Logits that are twice too sure and shifted by one, and answers to them."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 1.5, (n_images, n_labels))
    labels = (rng.random(honest.shape) < 1 / (1 + np.exp(-honest))).astype(np.int8)
    return 2 * honest + 1, labels


def test_platt_undoes_a_linear_distortion():
    logits, labels = distorted(4000)
    platt = fit_platt(logits, labels)
    assert platt.own == (True, True)
    assert platt.slope == pytest.approx([0.5, 0.5], abs=0.06)
    assert platt.intercept == pytest.approx([-0.5, -0.5], abs=0.15)


def test_calibration_lowers_the_error_on_unseen_labels():
    logits, labels = distorted(2000)
    raw = 1 / (1 + np.exp(-logits))
    before = expected_calibration_error(raw, labels)
    after = expected_calibration_error(cross_calibrate(logits, labels), labels)
    assert after < 0.03 < before


def test_little_evidence_shares_one_map():
    logits, labels = distorted(100)
    platt = fit_platt(logits, labels)
    assert platt.own == (False, False)
    assert platt.slope[0] == platt.slope[1]


def test_ranking_is_never_reversed():
    logits, labels = distorted(40)
    assert fit_platt(-logits, labels).slope[0] > 0


def test_unknown_and_one_sided_labels_stay_finite():
    logits = np.random.default_rng(0).normal(size=(30, 2))
    labels = np.full((30, 2), -1, dtype=np.int8)
    assert fit_platt(logits, labels).slope == (1.0, 1.0)
    labels[:, 0] = 1
    assert np.isfinite(fit_platt(logits, labels)(logits)).all()


def test_no_evidence_is_no_correction():
    assert Platt.identity(1)(np.array([[0.0]])) == pytest.approx(0.5)


def test_bound_without_errors_is_the_closed_form():
    assert error_upper_bound(0, 230, confidence=0.9) == pytest.approx(1 - 0.1 ** (1 / 230))
    assert error_upper_bound(0, 0) == 1.0
    assert error_upper_bound(3, 3) == 1.0
    assert error_upper_bound(1, 100) > 0.01

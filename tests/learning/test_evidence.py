"""What held-out labels are used for, and that promises have labels of their own."""

import numpy as np
from scipy.special import expit

from worker.learning.evidence import Evidence, judge, set_apart


def evidence(n_images: int, seed: int) -> Evidence:
    """Scores of one good label and one that is noise."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 4, (n_images, 2))
    labels = (rng.random(honest.shape) < expit(honest)).astype(np.int8)
    honest[:, 1] = rng.normal(0, 4, n_images)
    return Evidence(honest, labels)


def test_few_rows_all_measure():
    measuring, promising = set_apart(np.arange(299), seed=0)
    assert len(measuring) == 299
    assert len(promising) == 0


def test_many_rows_are_halved_and_shared_by_nobody():
    measuring, promising = set_apart(np.arange(301), seed=0)
    assert len(measuring) == 151
    assert sorted([*measuring, *promising]) == list(range(301))


def test_promises_rest_on_fresh_labels_alone():
    seen, fresh = evidence(600, 1), evidence(600, 2)
    made = judge(seen, fresh, ["good", "noise"], cross_fitted=False)
    assert made.promises["good"]
    assert made.promises["noise"] == []
    assert made.metrics["images"] == 1200
    for promised in made.promises["good"]:
        assert promised["bound"] <= promised["alpha"]
    without = judge(seen, None, ["good", "noise"], cross_fitted=False)
    assert without.promises == {}
    assert without.calibration == made.calibration
    assert without.thresholds == made.thresholds


def test_calibration_is_shown_before_and_after():
    """Scores that are five times too sure: the diagram says so, and that calibration mends it."""
    rng = np.random.default_rng(4)
    honest = rng.normal(0, 1.5, (2_000, 1))
    labels = (rng.random(honest.shape) < expit(honest)).astype(np.int8)
    metrics = judge(Evidence(5 * honest, labels), None, ["one"], cross_fitted=True).metrics
    before, after = metrics["reliability"]["before"], metrics["reliability"]["after"]
    assert before["ece"] > 0.1
    assert after["ece"] < 0.03
    assert after["ece"] == metrics["ece"]
    for diagram in (before, after):
        bins = diagram["bins"]
        assert sum(one["count"] for one in bins) == 2_000
        assert all(one["low"] <= one["confidence"] <= one["high"] for one in bins)
        spread = sum(one["count"] * abs(one["confidence"] - one["frequency"]) for one in bins)
        assert np.isclose(spread / 2_000, diagram["ece"])
    sure = before["bins"][-1]
    assert sure["confidence"] - sure["frequency"] > 0.05

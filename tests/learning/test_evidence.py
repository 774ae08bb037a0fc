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

"""What groups say is measured: much where labels come together, nothing where they do not."""

import numpy as np
import pytest

from worker.learning.contexts import ContextGroups, Criterion
from worker.learning.evidence import Evidence
from worker.learning.group_evidence import GroupEvidence, mean_of_others
from worker.learning.metrics import average_precisions

TOGETHER = ContextGroups((0, 0, 0, 1, 1, 1), ("abc", "def"), Criterion.GIVEN)
TORN = ContextGroups((0, 1, 0, 1, 0, 1), ("ace", "bdf"), Criterion.GIVEN)


def seen(n_images: int, seed: int, *, together: bool = True) -> Evidence:
    """Labels of two groups, and scores that know the first of each group well, the others badly."""
    rng = np.random.default_rng(seed)
    shown = rng.integers(0, 2, n_images)
    inside = np.array(TOGETHER.assignment) == shown[:, None]
    chance = np.where(inside, 0.75, 0.05) if together else np.full((n_images, 6), 0.3)
    labels = (rng.random((n_images, 6)) < chance).astype(np.int8)
    noise = rng.normal(size=(n_images, 6)) * np.array([0.5, 3, 3, 0.5, 3, 3])
    return Evidence(4.0 * labels - 2 + noise, labels)


def mean_ap(logits, labels):
    return float(average_precisions(logits, labels).mean())


def test_faint_labels_are_helped_by_their_group():
    groups = GroupEvidence.fit(TOGETHER, seen(150, 0))
    fresh = seen(600, 1)
    assert groups.weight > 0.1
    assert mean_ap(groups(fresh.logits), fresh.labels) > mean_ap(fresh.logits, fresh.labels) + 0.03


def test_labels_that_do_not_come_together_say_nothing():
    assert GroupEvidence.fit(TORN, seen(150, 0)).weight < 0.05
    assert GroupEvidence.fit(TOGETHER, seen(300, 0, together=False)).weight < 0.1


def test_without_evidence_or_groups_nothing_is_added():
    single = ContextGroups((0,) * 6, ("all",), Criterion.GIVEN)
    for groups in (GroupEvidence.fit(TOGETHER, None), GroupEvidence.fit(single, seen(150, 0))):
        logits = seen(5, 2).logits
        assert np.array_equal(groups(logits), logits)


def test_unknown_cells_have_no_part():
    whole = seen(200, 3)
    labels = whole.labels.copy()
    labels[100:] = -1
    partial = Evidence(whole.logits, labels)
    half = Evidence(whole.logits[:100], whole.labels[:100])
    assert GroupEvidence.fit(TOGETHER, partial).weight == pytest.approx(
        GroupEvidence.fit(TOGETHER, half).weight, rel=1e-3
    )


def test_a_lone_label_hears_nobody():
    alone = ContextGroups((0, 1, 1), ("a", "bc"), Criterion.GIVEN)
    assert mean_of_others(alone).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]

"""Groups that were planted are found, and none is invented."""

import numpy as np
import pytest

from worker.learning.contexts import (
    Criterion,
    Link,
    PriorGroups,
    context_targets,
    find_contexts,
    name_groups,
    positive_npmi,
)


def planted(n_labels: int, n_groups: int, n_images: int, seed: int) -> np.ndarray:
    """Each image shows one group: its labels often, all others seldom."""
    rng = np.random.default_rng(seed)
    group = np.arange(n_labels) % n_groups
    shown = rng.integers(0, n_groups, n_images)
    chance = np.where(group[None] == shown[:, None], 0.6, 0.05)
    return (rng.random((n_images, n_labels)) < chance).astype(np.int8)


def keys(count: int) -> list[str]:
    return [f"label-{index:02}" for index in range(count)]


@pytest.mark.parametrize(("n_labels", "n_groups", "n_images"), [(8, 2, 300), (12, 3, 500)])
def test_planted_groups_are_found(n_labels, n_groups, n_images):
    found = find_contexts(planted(n_labels, n_groups, n_images, 1), keys(n_labels))
    assert found.criterion is Criterion.PARALLEL_ANALYSIS
    assert found.count == n_groups
    assert found.assignment == tuple(index % n_groups for index in range(n_labels))


def test_few_images_use_modularity():
    found = find_contexts(planted(8, 2, 60, 3), keys(8))
    assert (found.criterion, found.count) == (Criterion.MODULARITY, 2)


def test_independent_labels_rarely_get_groups():
    rng = np.random.default_rng(5)
    invented = [
        find_contexts((rng.random((200, 8)) < 0.3).astype(np.int8), keys(8), seed=draw).active
        for draw in range(20)
    ]
    assert np.mean(invented) <= 0.1


def test_the_order_of_labels_changes_nothing():
    labels, order = planted(9, 3, 400, 2), np.random.default_rng(0).permutation(9)
    names = keys(9)
    straight = find_contexts(labels, names)
    turned = find_contexts(labels[:, order], [names[k] for k in order])
    assert [turned.assignment[i] for i in range(9)] == [straight.assignment[k] for k in order]
    assert turned.names == straight.names


def test_three_labels_have_no_groups():
    found = find_contexts(planted(3, 1, 200, 0), keys(3))
    assert (found.criterion, found.active) == (Criterion.TOO_FEW_LABELS, False)


def test_unused_and_unknown_labels_do_no_harm():
    labels = planted(8, 2, 300, 4)
    labels[:, 0], labels[:, 1] = 0, -1
    affinity = positive_npmi(labels)
    assert np.isfinite(affinity).all()
    assert find_contexts(labels, keys(8)).count >= 1


def test_the_number_can_be_given():
    found = find_contexts(planted(8, 2, 300, 1), keys(8), count=3)
    assert (found.criterion, found.count) == (Criterion.GIVEN, 3)


LENT = PriorGroups("boards", {"label-00": 4, "label-01": 7, "label-02": 4, "elsewhere": 1})


def test_lent_groups_are_taken_while_own_labels_are_few():
    labels = planted(4, 1, 99, 0)
    found = find_contexts(labels, keys(4), prior=LENT)
    assert found.assignment == (0, 1, 0, 2), "an unknown label stands alone"
    assert (found.criterion, found.origin) == (Criterion.TRANSFERRED, "boards")


def test_own_evidence_takes_over_at_a_hundred_images():
    labels = planted(8, 2, 100, 1)
    assert find_contexts(labels, keys(8), prior=LENT) == find_contexts(labels, keys(8))


def test_lent_groups_that_say_nothing_here_are_not_taken():
    alone = PriorGroups("boards", {"label-00": 4, "label-02": 4})
    labels = planted(8, 2, 60, 3)
    assert find_contexts(labels, keys(8), prior=alone) == find_contexts(labels, keys(8))
    assert find_contexts(labels, keys(8), prior=LENT, count=1).count == 1


def test_links_are_the_pairs_that_occur_together():
    labels = np.array([[1, 1, 0]] * 30 + [[0, 0, 1]] * 30 + [[0, 0, 0]] * 30, dtype=np.int8)
    (link,) = find_contexts(labels, keys(3)).links
    assert (link.first, link.second) == (0, 1)
    assert link == Link(0, 1, pytest.approx(positive_npmi(labels)[0, 1], abs=5e-4))


def test_groups_are_named_by_their_labels():
    assert name_groups([0, 1, 0], ["open", "pin-hole", "mousebite"]) == (
        "mousebite + open",
        "pin-hole",
    )


def test_a_group_is_active_absent_or_unknown():
    membership = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    labels = np.array([[1, -1, 0], [0, 0, -1], [0, -1, 1]], dtype=np.int8)
    assert context_targets(labels, membership).tolist() == [[1, 0], [0, -1], [-1, 1]]

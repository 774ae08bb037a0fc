"""Who is examined: drawn by the group, with the wished probability, the same each time."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.images.draws import LARGEST_GROUP, draw_split, is_full, new_group
from app.images.models import Split

SECRET = b"secret of a project"


def test_a_group_has_one_split_whoever_asks():
    assert len({draw_split(SECRET, "lot A", 0.5) for _ in range(20)}) == 1


def test_the_share_of_evaluation_groups_is_the_rate():
    drawn = [draw_split(SECRET, f"lot {i}", 0.2) for i in range(4000)]
    assert drawn.count(Split.EVALUATION) / len(drawn) == pytest.approx(0.2, abs=0.025)
    assert set(drawn) == {Split.EVALUATION, Split.TRAIN}


@given(st.text(), st.binary(min_size=1))
def test_rates_of_nought_and_one_are_certain(group, secret):
    assert draw_split(secret, group, 0.0) is Split.TRAIN
    assert draw_split(secret, group, 1.0) is Split.EVALUATION


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_only_adds_groups(group, one, other):
    low, high = sorted((one, other))
    if draw_split(SECRET, group, low) is Split.EVALUATION:
        assert draw_split(SECRET, group, high) is Split.EVALUATION


def test_another_project_draws_others():
    groups = [f"lot {i}" for i in range(100)]
    draws = [[draw_split(s, group, 0.5) for group in groups] for s in (SECRET, b"another")]
    assert draws[0] != draws[1]


@pytest.mark.parametrize(
    ("size", "images", "full"),
    [
        (0, 0, False), (1, 1, True), (1, 19, True), (1, 39, True), (1, 40, False), (2, 40, True),
        (4, 100, False), (5, 100, True), (499, 10**6, False), (LARGEST_GROUP, 10**6, True),
    ],
)  # fmt: skip
def test_a_group_is_full_at_five_percent(size, images, full):
    assert is_full(size, images) is full


@given(st.integers(1, 10**7), st.integers(0, 1000))
def test_no_group_grows_past_its_share(images, size):
    if not is_full(size, images):
        assert size + 1 <= max(1, images * 0.05)
        assert size + 1 <= LARGEST_GROUP


def test_two_groups_of_a_lot_never_share_a_name():
    first, second = new_group("A", uuid4()), new_group("A", uuid4())
    assert first != second
    assert first.startswith("A/")

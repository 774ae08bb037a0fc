"""Versions on planted photos: who is better, by label, and whose answers changed."""

from uuid import UUID

import numpy as np
import pytest

from app.annotations.models import LabelValue
from app.core.errors import Invalid
from app.pseudolabels.comparison import Exam, Finding, changes, compare, ensure_comparable
from app.training.models import ModelVersion
from app.training.snapshots import ABSENT, PRESENT, UNKNOWN

OLD, NEW = UUID(int=1), UUID(int=2)
SCRATCH, DENT = str(UUID(int=11)), str(UUID(int=12))


def exam(values, old, new):
    """One array of codes per label; the scores of each version by label."""
    photos = len(next(iter(values.values())))
    arrays = {label: np.array(codes, dtype=np.int8) for label, codes in values.items()}
    scores = {
        version: {label: np.array(given, dtype=float) for label, given in of_label.items()}
        for version, of_label in ((OLD, old), (NEW, new))
    }
    ids = [UUID(int=100 + number) for number in range(photos)]
    return Exam(ids, [f"{number}.png" for number in range(photos)], arrays, scores)


def ranked(positives, negatives, *, right):
    """Codes, and scores that put the positives first, or last."""
    codes = [PRESENT] * positives + [ABSENT] * negatives
    high = [0.9 - 0.001 * number for number in range(positives)]
    low = [0.4 - 0.001 * number for number in range(negatives)]
    scores = high + low
    return codes, scores if right else [1 - score for score in scores]


@pytest.mark.parametrize(
    ("old_right", "new_right", "finding"),
    [(False, True, Finding.BETTER), (True, False, Finding.WORSE), (True, True, Finding.OPEN)],
)
def test_a_difference_is_judged_by_its_bounds(old_right, new_right, finding):
    codes, old = ranked(12, 30, right=old_right)
    _, new = ranked(12, 30, right=new_right)
    (found,) = compare(exam({SCRATCH: codes}, {SCRATCH: old}, {SCRATCH: new}), OLD)
    assert found.finding(NEW) is finding
    assert found.finding(OLD) is None, "the base is not compared with itself"
    assert (found.photos, found.positives) == (42, 12)
    assert found.precisions[NEW].value == pytest.approx(1) or not new_right


def test_few_positives_give_a_difference_without_bounds():
    codes, old = ranked(9, 30, right=False)
    _, new = ranked(9, 30, right=True)
    (found,) = compare(exam({SCRATCH: codes}, {SCRATCH: old}, {SCRATCH: new}), OLD)
    assert found.finding(NEW) is Finding.TOO_FEW_POSITIVES
    assert found.differences[NEW].value > 0
    assert found.differences[NEW].low is None


def test_nothing_present_ranks_nothing():
    (found,) = compare(exam({SCRATCH: [ABSENT] * 3}, {SCRATCH: [0] * 3}, {SCRATCH: [1] * 3}), OLD)
    assert (found.photos, found.positives) == (3, 0)
    assert not found.precisions
    assert found.finding(NEW) is None


def test_a_label_that_only_one_version_knows_has_no_difference():
    codes, scores = ranked(10, 10, right=True)
    values = {SCRATCH: codes, DENT: codes}
    given = exam(values, {SCRATCH: scores}, {SCRATCH: scores, DENT: scores})
    by_label = {str(found.label_id): found for found in compare(given, OLD)}
    assert by_label[DENT].precisions.keys() == {NEW}
    assert by_label[DENT].finding(NEW) is None
    assert by_label[SCRATCH].finding(NEW) is Finding.OPEN
    assert all(str(one.label_id) == SCRATCH for one in changes(given, NEW, OLD).mended)


def test_unknown_answers_take_no_part():
    codes, scores = ranked(10, 10, right=True)
    given = exam({SCRATCH: [*codes, UNKNOWN]}, {SCRATCH: [*scores, 0.9]}, {SCRATCH: [*scores, 0.1]})
    (found,) = compare(given, OLD)
    assert found.photos == 20
    assert not changes(given, NEW, OLD).mended
    assert not changes(given, NEW, OLD).newly_wrong


def test_answers_that_changed_are_told_apart_the_largest_swing_first():
    values = {SCRATCH: [PRESENT, ABSENT, PRESENT, ABSENT, PRESENT]}
    old = {SCRATCH: [0.4, 0.9, 0.8, 0.1, 0.7]}
    new = {SCRATCH: [0.6, 0.2, 0.3, 0.5, 0.9]}
    found = changes(exam(values, old, new), NEW, OLD)
    assert [one.file_name for one in found.mended] == ["1.png", "0.png"]
    assert [one.file_name for one in found.newly_wrong] == ["2.png", "3.png"]
    first = found.mended[0]
    assert (first.value, first.before, first.after) == (LabelValue.ABSENT, 0.9, 0.2)
    back = changes(exam(values, old, new), OLD, NEW)
    assert [one.file_name for one in back.mended] == ["2.png", "3.png"]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_two_or_three_versions_can_be_compared(count):
    with pytest.raises(Invalid, match="two or three"):
        ensure_comparable([ModelVersion(id=UUID(int=number)) for number in range(count)])
    with pytest.raises(Invalid):
        ensure_comparable([ModelVersion(id=OLD), ModelVersion(id=OLD)])
    ensure_comparable([ModelVersion(id=OLD), ModelVersion(id=NEW)])

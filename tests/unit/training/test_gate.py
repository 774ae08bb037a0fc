"""The gate on planted figures: what is guarded and can be judged decides, the rest is reported."""

from uuid import UUID

from app.training import gate
from app.training.gate import Comparison, Verdict

IDS = {key: UUID(int=number) for number, key in enumerate("abc")}
KEYS = {label_id: key for key, label_id in IDS.items()}


def document(**comparisons):
    return gate.judge(
        {str(IDS[key]): comparison for key, comparison in comparisons.items()},
        guarded={str(IDS["a"]), str(IDS["b"])},
        margin=0.05,
        against=4,
    )


def judged(**comparisons):
    return gate.worded(document(**comparisons), KEYS)


def better(positives=30):
    return Comparison(positives, 0.1, 0.02, 0.2)


def worse(positives=30):
    return Comparison(positives, -0.1, -0.2, 0.01)


def test_it_passes_when_no_guarded_label_may_be_worse():
    found = judged(a=better(), b=Comparison(10, -0.01, -0.05, 0.03))
    assert found["passed"] is True
    assert found["labels"]["b"]["verdict"] == Verdict.NOT_WORSE
    assert gate.opens(found)


def test_one_guarded_label_that_may_be_worse_stops_it():
    found = judged(a=better(), b=worse())
    assert found["passed"] is False
    assert "on: b." in found["reason"]
    assert "version 4" in found["reason"]
    assert not gate.opens(found)


def test_labels_are_named_as_they_are_called_when_it_is_read():
    renamed = KEYS | {IDS["a"]: "b", IDS["b"]: "a"}
    found = gate.worded(document(a=better(), b=worse()), renamed)
    assert found["labels"]["a"]["verdict"] == Verdict.MAY_BE_WORSE
    assert "on: a." in found["reason"]


def test_a_label_that_nobody_guards_is_only_reported():
    found = judged(a=better(), c=worse())
    assert found["passed"] is True
    assert found["labels"]["c"]["verdict"] == Verdict.NOT_GUARDED
    assert found["labels"]["c"]["difference"] == -0.1


def test_fewer_than_ten_positives_are_reported_and_hold_nothing_against_it():
    found = judged(a=worse(positives=9), b=Comparison(0, None, None, None))
    assert found["passed"] is None
    assert {one["verdict"] for one in found["labels"].values()} == {Verdict.TOO_FEW_POSITIVES}
    assert gate.opens(found)
    assert judged(a=worse(positives=9), b=worse())["passed"] is False


def test_the_first_version_has_nothing_to_beat():
    assert gate.opens(gate.first_version())
    assert gate.worded(gate.first_version(), KEYS) == gate.first_version()


def test_what_could_not_be_compared_waits_for_a_person():
    assert not gate.opens(gate.not_compared("as planted", against=1))

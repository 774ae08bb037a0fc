"""The demo's people say the truth and take the time that is assumed, give or take a fifth."""

import pytest

from app.demo.pack import Photo
from app.demo.people import Person

PHOTO = Photo("a.png", "train", frozenset({"scratch"}))
LABELS = ["scratch", "dent"]


@pytest.fixture
def person() -> Person:
    return Person(LABELS, seed=0)


def test_annotating_states_every_label(person):
    answer = person.annotate(PHOTO)
    assert answer.values == {"scratch": "present", "dent": "absent"}
    assert 0.8 * 6.5 <= answer.active_seconds <= 1.2 * 6.5


@pytest.mark.parametrize(
    ("suggestions", "seconds"),
    [
        ({"scratch": "present", "dent": "absent"}, 4.8),
        ({"dent": "absent"}, 6.5),
        ({"scratch": "present", "dent": "present"}, 6.6),
        ({"scratch": "absent"}, 5.8),
    ],
)
def test_reviewing_takes_time_for_what_needs_a_hand(person, suggestions, seconds):
    answer = person.review(PHOTO, suggestions)
    assert answer.values == {"scratch": "present", "dent": "absent"}
    assert 0.8 * seconds <= answer.active_seconds <= 1.2 * seconds

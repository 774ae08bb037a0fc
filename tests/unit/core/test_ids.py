"""Identifiers are UUIDv7 of now, and those of one process sort by creation."""

import time
from uuid import RFC_4122

from app.core import ids
from app.core.ids import new_id


def test_they_are_version_7_and_carry_the_time():
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after + 1


def test_each_is_greater_than_the_one_before():
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_a_clock_that_is_set_back_changes_nothing(monkeypatch):
    first = new_id()
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_000_000_000)
    assert first < new_id() < new_id()

"""Closed days are read in spans: no figure tells their days apart."""

from datetime import date, timedelta

import pytest

from app.kpis.evidence import first_day, span_of, week_of
from app.kpis.schemas import Bucket

DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(800)]


@pytest.mark.parametrize("size", list(Bucket))
def test_a_span_lies_in_one_bucket_and_in_one_week(size):
    for day in DAYS:
        start = span_of(day, size)
        assert start <= day
        assert week_of(start) == week_of(day)
        assert first_day(start, size) == first_day(day, size)


def test_a_month_has_no_more_spans_than_weeks():
    november = [day for day in DAYS if (day.year, day.month) == (2026, 11)]
    assert len({span_of(day, Bucket.MONTH) for day in november}) == 6

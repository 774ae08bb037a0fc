"""Days, weeks and months are the factory's own, and a period has sharp ends."""

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from app.core.errors import Invalid

# Half past midnight of the first of April in Tokyo; still March in New York and in UTC.
MOMENT = datetime(2026, 3, 31, 15, 30, tzinfo=UTC)


def starts(office, **query):
    everything = {"from": "2026-01-01", "to": "2026-12-31", **query}
    return [bucket.start for bucket in office.kpis(**everything).series]


@pytest.mark.parametrize(
    ("zone", "day", "week", "month"),
    [
        ("Asia/Tokyo", date(2026, 4, 1), date(2026, 3, 30), date(2026, 4, 1)),
        ("America/New_York", date(2026, 3, 31), date(2026, 3, 30), date(2026, 3, 1)),
    ],
)
def test_buckets_are_those_of_the_projects_zone(make_office, zone, day, week, month):
    office = make_office(time_zone=zone)
    office.reviewed_at(MOMENT)
    assert starts(office, bucket="day") == [day]
    assert starts(office, bucket="week") == [week]
    assert starts(office, bucket="month") == [month]
    here = day.isoformat()
    assert office.kpis(**{"from": here, "to": here}).finished_images == 1
    before = (day.replace(day=day.day - 1) if day.day > 1 else date(2026, 3, 31)).isoformat()
    assert office.kpis(**{"from": "2026-01-01", "to": before}).finished_images == 0


def test_a_moment_is_sharp_even_at_midnight(office):
    office.reviewed_at(MOMENT)

    def finished(start, end):
        return office.kpis(**{"from": start, "to": end}).finished_images

    assert finished("2026-03-31T15:30:00Z", "2026-03-31T15:30:01Z") == 1
    assert finished("2026-03-31T00:00:00Z", "2026-03-31T15:30:00Z") == 0
    assert finished("2026-03-01", "2026-04-01T00:00:00") == 0
    assert finished("2026-03-01", "2026-04-01") == 1
    assert finished("2026-04-01T00:00:00", "2026-04-01T01:00:00") == 1


def test_the_day_that_loses_an_hour_ends_at_midnight(make_office):
    office = make_office(time_zone="Europe/Berlin")
    kpis = office.kpis(**{"from": "2026-03-29", "to": "2026-03-29"})
    assert (kpis.end - kpis.start).total_seconds() == 24 * 3600  # by the wall clock
    assert kpis.end.astimezone(UTC) - kpis.start.astimezone(UTC) == (
        datetime(2026, 3, 29, 22, tzinfo=UTC) - datetime(2026, 3, 28, 23, tzinfo=UTC)
    )


def test_the_last_thirty_days_unless_asked_otherwise(office):
    office.review(office.photo(scratch=0.9))
    kpis = office.kpis()
    assert kpis.finished_images == 1
    assert (kpis.end - kpis.start).days == 30
    assert kpis.time_zone == "Asia/Tokyo"


def test_a_period_that_ends_before_it_begins_is_refused(office):
    for start, end in (
        ("2026-04-02", "2026-04-01"),
        ("2026-04-01T00:00:00", "2026-04-01T00:00:00"),
    ):
        with pytest.raises(Invalid):
            office.kpis(**{"from": start, "to": end})


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("day", ["0001-01-02", "9999-12-31", "9999-12-31T23:59:59Z"])
def test_days_at_the_ends_of_the_calendar_are_refused(office, name, day):
    with pytest.raises(Invalid, match="years 2 to 9998"):
        office.kpis(**{name: day})


def test_all_other_days_are_days(office):
    office.reviewed_at(MOMENT)
    assert office.kpis(**{"from": "0002-01-01", "to": "9998-12-31"}).finished_images == 1
    assert office.kpis(to="0002-01-01").finished_images == 0


def test_what_is_no_period_is_refused(office):
    wrong = ({"from": "spring"}, {"to": "2026-13-01T00:00"}, {"bucket": "year"}, {"since": "now"})
    for query in wrong:
        with pytest.raises(ValidationError):
            office.kpis(**query)

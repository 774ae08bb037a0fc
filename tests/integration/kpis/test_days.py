"""Days that are over are counted once, and the figures are those of counting anew."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, delete, select, text, update
from sqlalchemy.orm import Session

from app.annotations import service as annotations
from app.annotations.models import Annotation
from app.catalog import purging, removal
from app.core.clock import now
from app.core.config import Settings
from app.core.storage import make_store
from app.images.models import Arm
from app.kpis import days, repository, service
from app.kpis.evidence import week_of
from app.kpis.reading import Reading, period_of
from app.kpis.schemas import Bucket, KpiQuery
from app.projects import kept_days
from app.projects.models import ProjectDay
from tests.factories import make_user
from tests.integration.kpis.conftest import CONTROL, Office


@pytest.fixture
def office(make_office: Callable[..., Office]) -> Office:
    """Where it is noon now, so that yesterday is closed and today is not over."""
    behind_noon = now().hour - 12
    return make_office(time_zone=f"Etc/GMT{behind_noon:+d}")


@pytest.fixture
def past(office: Office) -> Office:
    """Two weeks of work: control, assisted and mixed images, steps, undos, two opinions."""
    colleague = make_user(office.session)
    for day in range(14):
        for n in range(3):
            office.review(office.photo(CONTROL, scratch=0.9), seconds=8 + n, present=["scratch"])
            office.review(office.photo(scratch=0.9, dent=0.8), seconds=3 + n)
        _step(office, colleague if day % 2 else office.desk.reviewer)
        _take_back(office)
        if day % 3:
            a_day_passes(office)
    return office


def _step(office: Office, author: Any) -> None:
    image = office.photo()
    office.state(image, "scratch", complete=False, arm=Arm.ASSISTED, active_ms=1500)
    office.state(image, "dent", author=author, arm=Arm.ASSISTED, active_ms=2500)


def _take_back(office: Office) -> None:
    image = office.photo()
    statement = office.state(image, active_ms=1000)
    annotations.undo(office.session, statement.id, actor_id=office.desk.reviewer.id)


def a_day_passes(office: Office, n: int = 1) -> None:
    """All that was stated, decided and counted so far, was so a day earlier."""
    session = office.session
    session.flush()
    session.execute(text("SET LOCAL session_replication_role = replica"))
    for table in ("annotation", "decision"):
        moved = f"UPDATE {table} SET created_at = created_at - make_interval(days => :n)"
        session.execute(text(moved), {"n": n})
    session.execute(text("SET LOCAL session_replication_role = origin"))
    session.execute(delete(ProjectDay))
    session.expire_all()


def kept(office: Office) -> int:
    """Whole days; that of today is in addition."""
    zone = ZoneInfo(office.project.time_zone)
    office.session.flush()
    ends = office.session.scalars(select(ProjectDay.ends_at))
    return sum(end.astimezone(zone).time() == time() for end in ends)


def figures(office: Office, **query: str) -> dict[str, Any]:
    """Apart from the age of what waits, which grows while one looks."""
    return office.kpis(**query).model_dump(exclude={"queue": {"oldest_seconds", "median_seconds"}})


def counted_anew(office: Office) -> dict[str, Any]:
    office.session.execute(delete(ProjectDay))
    return figures(office)


def as_rows(found: Any) -> set[Any]:
    """Each row of evidence with its times in order: the database groups in whatever order."""
    return {
        (name, *(tuple(sorted(v)) if hasattr(v, "shape") else v for v in vars(row).values()))
        for name, rows in vars(found).items()
        for row in rows
    }


def test_kept_days_are_those_of_counting_all_at_once(past):
    period = period_of(past.project, KpiQuery())
    anew = days.Evidence(
        repository.finished_images(past.session, period),
        repository.decision_counts(past.session, period),
        repository.spent_times(past.session, period),
        repository.restated_images(past.session, period),
    )
    counting = days.read(past.session, period)
    assert kept(past) == 9  # as many as passed
    reading = days.read(past.session, period)
    assert as_rows(counting) == as_rows(reading) == as_rows(anew)
    assert len({row.day for row in reading.finished}) == 9
    assert reading.restated


def told_apart(found: Any, size: Bucket) -> dict[Any, Any]:
    """What figures by that size tell apart: per bucket its counts, per week whose times it has."""
    apart: dict[Any, Any] = {}
    for start, part in found.by_bucket(size).items():
        for row in part.finished:
            seconds = apart.setdefault((start, row.reviewer_id, row.arm, week_of(row.day)), [])
            seconds += row.seconds.tolist()
        apart[start, "finished"] = part.finished_images
        apart[start, "spent"] = sum(row.active_ms for row in part.spent)
        apart[start, "decisions"] = Counter()
        for row in part.decisions:
            alike = {**vars(row), "day": None, "count": None}
            apart[start, "decisions"][tuple(alike.values())] += row.count
        apart[start, "restated"] = {row.image_id for row in part.restated}
    return {key: sorted(x) if isinstance(x, list) else x for key, x in apart.items()}


@pytest.mark.parametrize("size", list(Bucket))
def test_days_that_are_read_together_are_those_of_counting(past, size):
    period = period_of(past.project, KpiQuery())
    days_apart = days.read(past.session, period)
    together = days.read(past.session, period, size)
    assert told_apart(together, size) == told_apart(days_apart, size)
    assert (len(together.finished) < len(days_apart.finished)) == (size != Bucket.DAY)


@pytest.mark.parametrize("bucket", ["day", "week", "month"])
def test_figures_stay_the_same_when_days_are_read_instead_of_counted(past, bucket):
    first = figures(past, bucket=bucket)
    assert kept(past)
    assert figures(past, bucket=bucket) == first
    assert first["finished_images"] == 14 * 7
    assert first["agreement"]["pairs"] == 7


def test_a_period_within_days_counts_their_parts(past):
    figures(past)
    whole = period_of(past.project, KpiQuery())
    middle = whole.end - timedelta(days=4, hours=10)
    halves = (replace(whole, end=middle), replace(whole, start=middle))
    found = [days.read(past.session, half).finished_images for half in halves]
    assert sum(found) == days.read(past.session, whole).finished_images
    assert all(found)


def test_an_undo_reaches_back_into_kept_days(office):
    image, other = office.photo(), office.photo()
    first = office.state(image, "scratch", complete=False, active_ms=1000)
    a_day_passes(office)
    office.state(image, "dent", "rust", complete=False, active_ms=1000)
    office.state(other, active_ms=1000)
    a_day_passes(office, 2)
    assert office.kpis().finished_images == 2
    assert kept(office) == 3
    annotations.undo(office.session, first.id, actor_id=office.desk.reviewer.id)
    after = figures(office)
    assert after["finished_images"] == 1
    assert after == figures(office) == counted_anew(office)


def test_an_undo_leaves_days_before_it_alone(office):
    office.state(office.photo(), active_ms=1000)
    a_day_passes(office)
    undone = office.state(office.photo(), active_ms=1000)
    a_day_passes(office)
    office.kpis()
    before = _counted_at(office)
    annotations.undo(office.session, undone.id, actor_id=office.desk.reviewer.id)
    assert office.kpis().finished_images == 1
    after = _counted_at(office)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, False]


def _counted_at(office: Office) -> list[datetime]:
    office.session.flush()
    return list(office.session.scalars(select(ProjectDay.counted_at).order_by(ProjectDay.day)))


def test_a_label_put_away_has_its_days_counted_anew(office):
    """What an undo left open in an image is closed when nobody asks for that label any more."""
    image = office.photo()
    first = office.state(image, "scratch", complete=False, active_ms=1000)
    office.state(image, "dent", "rust", complete=False, active_ms=1000)
    annotations.undo(office.session, first.id, actor_id=office.desk.reviewer.id)
    a_day_passes(office)
    assert office.kpis().finished_images == 0
    label = office.desk.labels["scratch"]
    removal.archive_label(office.session, label, is_archived=True, actor_id=None)
    assert office.kpis().finished_images == 1
    removal.archive_label(office.session, label, is_archived=False, actor_id=None)
    assert office.kpis().finished_images == 0


def test_a_label_put_away_while_days_are_counted_has_them_counted_anew(office, monkeypatch):
    """They are kept with the labels of before, which are not those of any reading after."""
    image = office.photo()
    first = office.state(image, "scratch", complete=False, active_ms=1000)
    office.state(image, "dent", "rust", complete=False, active_ms=1000)
    annotations.undo(office.session, first.id, actor_id=office.desk.reviewer.id)
    a_day_passes(office)
    count, yesterday = repository.finished_images, now() - timedelta(days=1)

    def count_slowly(session: Session, period: repository.Period) -> Any:
        found = count(session, period)
        if period.start <= yesterday < period.end:
            label = office.desk.labels["scratch"]
            removal.archive_label(session, label, is_archived=True, actor_id=None)
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(repository, "finished_images", count_slowly)
        assert office.kpis().finished_images == 0
    assert kept(office) == 1
    assert office.kpis().finished_images == 1


def test_cleared_photos_belong_to_the_days_of_the_zone(office):
    """On 25 October 2026 Berlin's clocks are set back: the day has 25 hours."""
    cleared = {"24T21:59": "2026-10-24", "25T22:59": "2026-10-25", "25T23:00": "2026-10-26"}
    for moment in cleared:
        office.photo().cleared_at = datetime.fromisoformat(f"2026-10-{moment}+00:00")
    office.session.flush()
    start, end = (datetime(2026, 10, day, tzinfo=ZoneInfo("Europe/Berlin")) for day in (24, 27))
    period = repository.Period(office.project.id, start, end, "Europe/Berlin")
    found = repository.cleared_images(office.session, period)
    assert {row.day.isoformat(): row.count for row in found} == dict.fromkeys(cleared.values(), 1)
    late = replace(period, start=datetime.fromisoformat("2026-10-25T23:00+00:00"))
    assert [row.count for row in repository.cleared_images(office.session, late)] == [1]


def test_another_time_zone_has_other_days(past):
    figures(past)
    here = past.project.time_zone
    past.project.time_zone = "Asia/Kathmandu"
    elsewhere = figures(past)
    assert figures(past) == elsewhere == counted_anew(past)
    past.project.time_zone = here
    assert figures(past)["time_zone"] == here
    assert figures(past) == counted_anew(past)


def test_what_is_purged_leaves_the_figures(past, settings: Settings):
    assert figures(past)["finished_images"]
    past.session.commit()
    which = purging.of_project(past.project.id)
    while purging.purge_photos(past.session, make_store(settings), which).photos:
        assert kept(past) == 0
    assert figures(past)["finished_images"] == 0


def test_nothing_is_kept_while_statements_are_purged(past, engine: Engine):
    past.session.commit()
    with Session(engine) as purge:
        kept_days.forget(purge, [past.project.id])
        assert figures(past)["finished_images"]
        assert kept(past) == 0
    figures(past)
    assert kept(past) == 9


def test_a_day_is_kept_an_hour_after_it_ended(office: Office, monkeypatch):
    office.state(office.photo(), active_ms=1000)
    zone_day = period_of(office.project, KpiQuery()).end
    for minutes, is_kept in ((59, 0), (61, 1)):
        monkeypatch.setattr(days, "now", _at(zone_day + timedelta(minutes=minutes)))
        later = KpiQuery.model_validate({"to": (now() + timedelta(days=2)).date().isoformat()})
        service.compute(Reading(office.session, office.project, later))
        assert kept(office) == is_kept


def test_today_is_kept_up_to_its_last_closed_hour(office: Office, monkeypatch):
    """Counted once an hour, and the same whenever it is looked at."""
    noon = now().replace(minute=0, second=0, microsecond=0)
    for hours, seconds in ((5, 3), (2, 4), (0, 5)):
        _at_that_time(office, office.state(office.photo(), active_ms=1000 * seconds), noon, hours)
    ends, found = [], []
    for minutes in (59, 60, 119, 120):
        monkeypatch.setattr(days, "now", _at(noon + timedelta(minutes=minutes)))
        found.append([figures(office)["active_hours"] for _ in range(2)])
        ends += [noon - end for end in office.session.scalars(select(ProjectDay.ends_at))]
    hour = timedelta(hours=1)
    assert ends == [hour, timedelta(0), timedelta(0), -hour]
    assert found == [[pytest.approx(12 / 3600)] * 2] * 4


def _at_that_time(office: Office, statement: Annotation, noon: datetime, hours: int) -> None:
    """The statement was made so many hours and some minutes before noon."""
    moment = noon - timedelta(hours=hours, minutes=10)
    office.session.execute(text("SET LOCAL session_replication_role = replica"))
    of_statement = update(Annotation).where(Annotation.id == statement.id)
    office.session.execute(of_statement.values(created_at=moment))
    office.session.execute(text("SET LOCAL session_replication_role = origin"))


def _at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment

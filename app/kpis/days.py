"""The evidence of a period: days that are over are counted once, and kept; today hour by hour.

An hour is closed some time after it ended, when whoever stated something in it has committed. The
day that is not over is kept up to its last closed hour, and replaced when there is another. What
happens later can change it in three ways. A statement is undone: every day from the statement's on
is counted anew. A label is put away or brought back, which says what it takes to finish a photo:
kept days name the labels that were active. Statements are purged: that forgets the kept days.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.clock import now
from app.kpis import repository
from app.kpis.evidence import EVERYTHING, Evidence, Kind, span_of
from app.kpis.packing import Packed, pack, unpack
from app.kpis.repository import Period
from app.kpis.schemas import Bucket
from app.projects import kept_days
from app.projects import service as projects
from app.projects.models import ProjectDay

CLOSED_AFTER = timedelta(hours=1)
# No transaction that states or undoes something is open for longer.
LONGEST_WRITE = timedelta(minutes=30)
DAY = timedelta(days=1)
# An undo within `longest_write` of its statement was there before the statement's hour was closed.
_IN_FORCE = text("""
WITH late AS MATERIALIZED (
    SELECT undo.created_at AS at, undone.created_at AS reaches_back_to
    FROM annotation AS undo JOIN annotation AS undone ON undone.id = undo.undoes_id
    WHERE undo.project_id = :project_id AND undo.undoes_id IS NOT NULL
      AND undo.created_at > undone.created_at + :longest_write)
SELECT day, ends_at, evidence - CAST(:unneeded AS text[]) AS evidence FROM project_day
WHERE project_id = :project_id AND time_zone = :time_zone AND day >= :first AND day < :after
  AND active_labels = ARRAY(
    SELECT id FROM label WHERE project_id = :project_id AND archived_at IS NULL ORDER BY id)
  AND NOT EXISTS (
    SELECT FROM late
    WHERE late.at > project_day.counted_at - :longest_write
      AND late.reaches_back_to < project_day.ends_at)
""")


def read(
    session: Session,
    period: Period,
    size: Bucket = Bucket.DAY,
    kinds: Collection[Kind] = EVERYTHING,
) -> Evidence:
    """What happened in a period, on its line if it names one; closed days no finer than buckets of
    that size, and weeks, need them."""
    ends = _closed(session, period)
    if not ends:
        found = _count(session, period, kinds)
    else:
        first = _midnight(min(ends), ZoneInfo(period.time_zone))
        found = Evidence.join(
            [
                _count(session, _part(period, period.start, first), kinds),
                _read_closed(session, period, ends, size, kinds),
                _count(session, _part(period, max(ends.values()), period.end), kinds),
            ]
        )
    if Kind.CLEARED in kinds:
        found.cleared.extend(repository.cleared_images(session, period))
    return found if period.line is None else found.by_line().get(period.line, Evidence())


def _count(session: Session, period: Period, kinds: Collection[Kind] = EVERYTHING) -> Evidence:
    if period.start >= period.end:
        return Evidence()
    ways: dict[Kind, Callable[[Session, Period], list[Any]]] = {
        Kind.FINISHED: repository.finished_images,
        Kind.DECISIONS: repository.decision_counts,
        Kind.SPENT: repository.spent_times,
        Kind.RESTATED: repository.restated_images,
    }
    return Evidence(
        **{kind: count(session, period) for kind, count in ways.items() if kind in kinds}
    )


def _closed(session: Session, period: Period) -> dict[date, datetime]:
    """The closed days of a period on which there can be anything, each with the moment up to which
    it is closed: the midnight after it, or today's last closed hour."""
    began = repository.first_statement(session, period.project_id)
    if began is None:
        return {}
    zone = ZoneInfo(period.time_zone)
    day = period.start.astimezone(zone).date()
    if _midnight(day, zone) < period.start:
        day += DAY
    day = max(day, began.astimezone(zone).date())
    until = (now() - CLOSED_AFTER).replace(minute=0, second=0, microsecond=0)
    if period.end < until:
        until = _midnight(period.end.astimezone(zone).date(), zone)
    ends = {}
    while _midnight(day, zone) < until:
        ends[day] = min(_midnight(day + DAY, zone), until)
        day += DAY
    return ends


def _read_closed(
    session: Session,
    period: Period,
    ends: dict[date, datetime],
    size: Bucket,
    kinds: Collection[Kind],
) -> Evidence:
    given = {**vars(period), "first": min(ends), "after": max(ends) + DAY}
    given |= {"longest_write": LONGEST_WRITE, "unneeded": sorted(EVERYTHING.difference(kinds))}
    rows = session.execute(_IN_FORCE, given)
    kept = {row.day: row.evidence for row in rows if row.ends_at == ends[row.day]}
    missing = {day: end for day, end in ends.items() if day not in kept}
    if missing:
        kept |= _count_and_keep(session, period, missing)
    spans: dict[date, list[Packed]] = defaultdict(list)
    for day in ends:
        spans[span_of(day, size)].append(kept[day])
    return Evidence.join([unpack(start, parts, kinds) for start, parts in spans.items()])


def _count_and_keep(
    session: Session, period: Period, ends: dict[date, datetime]
) -> dict[date, Packed]:
    """In ascending order, so that two who keep the same days do not wait for each other. What could
    change while they are counted is read before: a change then makes the kept days void."""
    is_kept = kept_days.may_keep(session, period.project_id)
    labels = projects.list_labels(session, period.project_id)
    zone, counted_at = ZoneInfo(period.time_zone), now()
    span = _part(period, _midnight(min(ends), zone), max(ends.values()))
    parts = _count(session, span).by_bucket(Bucket.DAY)
    found = {day: pack(parts.get(day, Evidence())) for day in ends}
    if is_kept:
        same = {
            "project_id": period.project_id,
            "time_zone": period.time_zone,
            "counted_at": counted_at,
            "active_labels": sorted(label.id for label in labels),
        }
        _keep(
            session,
            [
                same | {"day": day, "ends_at": ends[day], "evidence": packed}
                for day, packed in found.items()
            ],
        )
    return found


def _keep(session: Session, rows: list[dict[str, Any]]) -> None:
    new = insert(ProjectDay)
    names = ("ends_at", "counted_at", "active_labels", "evidence")
    changed = {name: new.excluded[name] for name in names}
    where = ProjectDay.__table__.primary_key
    session.execute(new.on_conflict_do_update(index_elements=where, set_=changed), rows)


def _part(period: Period, start: datetime, end: datetime) -> Period:
    return replace(period, start=start, end=end)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """In UTC: moments of one zone compare by their wall clocks, which are set back once a year."""
    return datetime.combine(day, time(), zone).astimezone(UTC)

"""The evidence of a period: days that are over are counted once, and kept.

A day is closed some time after it ended, when whoever stated something on it has committed. What
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
# An undo within `longest_write` of its statement was there before the statement's day was closed.
_IN_FORCE = text("""
WITH late AS MATERIALIZED (
    SELECT undo.created_at AS at, undone.created_at AS reaches_back_to
    FROM annotation AS undo JOIN annotation AS undone ON undone.id = undo.undoes_id
    WHERE undo.project_id = :project_id AND undo.undoes_id IS NOT NULL
      AND undo.created_at > undone.created_at + :longest_write)
SELECT day, evidence - CAST(:unneeded AS text[]) AS evidence FROM project_day
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
    first, after = _closed(session, period)
    if first >= after:
        found = _count(session, period, kinds)
    else:
        zone = ZoneInfo(period.time_zone)
        found = Evidence.join(
            [
                _count(session, _part(period, period.start, _midnight(first, zone)), kinds),
                _read_closed(session, period, first, after, size, kinds),
                _count(session, _part(period, _midnight(after, zone), period.end), kinds),
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


def _closed(session: Session, period: Period) -> tuple[date, date]:
    """The closed days of a period on which there can be anything: the first, and the one after
    the last."""
    began = repository.first_statement(session, period.project_id)
    if began is None:
        return date.max, date.max
    zone = ZoneInfo(period.time_zone)
    first = period.start.astimezone(zone).date()
    if _midnight(first, zone) < period.start:
        first += DAY
    after = min(period.end, now() - CLOSED_AFTER).astimezone(zone).date()
    return max(first, began.astimezone(zone).date()), after


def _read_closed(
    session: Session,
    period: Period,
    first: date,
    after: date,
    size: Bucket,
    kinds: Collection[Kind],
) -> Evidence:
    given = {**vars(period), "first": first, "after": after, "longest_write": LONGEST_WRITE}
    given["unneeded"] = sorted(EVERYTHING.difference(kinds))
    kept = {row.day: row.evidence for row in session.execute(_IN_FORCE, given)}
    days = [first + n * DAY for n in range((after - first).days)]
    missing = [day for day in days if day not in kept]
    if missing:
        kept |= _count_and_keep(session, period, missing)
    spans: dict[date, list[Packed]] = defaultdict(list)
    for day in days:
        spans[span_of(day, size)].append(kept[day])
    return Evidence.join([unpack(start, parts, kinds) for start, parts in spans.items()])


def _count_and_keep(session: Session, period: Period, days: list[date]) -> dict[date, Packed]:
    """In ascending order, so that two who keep the same days do not wait for each other. What could
    change while they are counted is read before: a change then makes the kept days void."""
    is_kept = kept_days.may_keep(session, period.project_id)
    labels = projects.list_labels(session, period.project_id)
    zone, counted_at = ZoneInfo(period.time_zone), now()
    span = _part(period, _midnight(days[0], zone), _midnight(days[-1] + DAY, zone))
    parts = _count(session, span).by_bucket(Bucket.DAY)
    found = {day: pack(parts.get(day, Evidence())) for day in days}
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
                same | {"day": day, "ends_at": _midnight(day + DAY, zone), "evidence": packed}
                for day, packed in found.items()
            ],
        )
    return found


def _keep(session: Session, rows: list[dict[str, Any]]) -> None:
    new = insert(ProjectDay)
    changed = {name: new.excluded[name] for name in ("counted_at", "active_labels", "evidence")}
    where = ProjectDay.__table__.primary_key
    session.execute(new.on_conflict_do_update(index_elements=where, set_=changed), rows)


def _part(period: Period, start: datetime, end: datetime) -> Period:
    return replace(period, start=start, end=end)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """In UTC: moments of one zone compare by their wall clocks, which are set back once a year."""
    return datetime.combine(day, time(), zone).astimezone(UTC)

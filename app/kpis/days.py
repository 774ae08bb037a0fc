"""The evidence of a period: days that are over are counted once, and kept.

A day is closed some time after it ended, when whoever stated something on it has committed. What
happens later can change it in three ways. A statement is undone: every day from the statement's on
is counted anew. A label is put away or brought back, which says what it takes to finish a photo:
kept days name the labels that were active. Statements are purged: that forgets the kept days.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.clock import now
from app.kpis import repository
from app.kpis.evidence import Evidence
from app.kpis.repository import DecisionCount, FinishedImages, Period, RestatedImage, SpentTime
from app.kpis.schemas import Bucket
from app.projects import kept_days
from app.projects import service as projects
from app.projects.models import ProjectDay

CLOSED_AFTER = timedelta(hours=1)
# No transaction that states or undoes something is open for longer.
LONGEST_WRITE = timedelta(minutes=30)
DAY = timedelta(days=1)
# Few labels and people, in many rows.
_id = lru_cache(maxsize=10_000)(UUID)
# An undo within `longest_write` of its statement was there before the statement's day was closed.
_IN_FORCE = text("""
WITH late AS MATERIALIZED (
    SELECT undo.created_at AS at, undone.created_at AS reaches_back_to
    FROM annotation AS undo JOIN annotation AS undone ON undone.id = undo.undoes_id
    WHERE undo.project_id = :project_id AND undo.undoes_id IS NOT NULL
      AND undo.created_at > undone.created_at + :longest_write)
SELECT day, evidence FROM project_day
WHERE project_id = :project_id AND time_zone = :time_zone AND day >= :first AND day < :after
  AND active_labels = ARRAY(
    SELECT id FROM label WHERE project_id = :project_id AND archived_at IS NULL ORDER BY id)
  AND NOT EXISTS (
    SELECT FROM late
    WHERE late.at > project_day.counted_at - :longest_write
      AND late.reaches_back_to < project_day.ends_at)
""")


def read(session: Session, period: Period) -> Evidence:
    """What happened in a period, on its line if it names one."""
    first, after = _closed(session, period)
    if first >= after:
        found = _count(session, period)
    else:
        zone = ZoneInfo(period.time_zone)
        found = Evidence.join(
            [
                _count(session, _part(period, period.start, _midnight(first, zone))),
                _read_closed(session, period, first, after),
                _count(session, _part(period, _midnight(after, zone), period.end)),
            ]
        )
    found.cleared.extend(repository.cleared_images(session, period))
    return found if period.line is None else found.by_line().get(period.line, Evidence())


def _count(session: Session, period: Period) -> Evidence:
    if period.start >= period.end:
        return Evidence()
    return Evidence(
        repository.finished_images(session, period),
        repository.decision_counts(session, period),
        repository.spent_times(session, period),
        repository.restated_images(session, period),
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


def _read_closed(session: Session, period: Period, first: date, after: date) -> Evidence:
    given = {**vars(period), "first": first, "after": after, "longest_write": LONGEST_WRITE}
    kept = {row.day: row.evidence for row in session.execute(_IN_FORCE, given)}
    days = (first + n * DAY for n in range((after - first).days))
    missing = [day for day in days if day not in kept]
    counted = _count_and_keep(session, period, missing) if missing else []
    return Evidence.join([*(_unpacked(day, content) for day, content in kept.items()), *counted])


def _count_and_keep(session: Session, period: Period, days: list[date]) -> list[Evidence]:
    """In ascending order, so that two who keep the same days do not wait for each other. What could
    change while they are counted is read before: a change then makes the kept days void."""
    is_kept = kept_days.may_keep(session, period.project_id)
    labels = projects.list_labels(session, period.project_id)
    zone, counted_at = ZoneInfo(period.time_zone), now()
    span = _part(period, _midnight(days[0], zone), _midnight(days[-1] + DAY, zone))
    parts = _count(session, span).by_bucket(Bucket.DAY)
    found = [parts.get(day, Evidence()) for day in days]
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
                same | {"day": day, "ends_at": _midnight(day + DAY, zone), "evidence": _packed(one)}
                for day, one in zip(days, found, strict=True)
            ],
        )
    return found


def _keep(session: Session, rows: list[dict[str, Any]]) -> None:
    new = insert(ProjectDay)
    changed = {name: new.excluded[name] for name in ("counted_at", "active_labels", "evidence")}
    where = ProjectDay.__table__.primary_key
    session.execute(new.on_conflict_do_update(index_elements=where, set_=changed), rows)


def _packed(found: Evidence) -> dict[str, list[Any]]:
    return {
        "finished": [
            [
                row.reviewer_id and str(row.reviewer_id),
                row.arm,
                row.line,
                row.count,
                row.seconds.tolist(),
            ]
            for row in found.finished
        ],
        "decisions": [
            [str(label_id), *rest]
            for _, label_id, *rest in (vars(row).values() for row in found.decisions)
        ],
        "spent": [[row.line, row.active_ms, row.audit_ms] for row in found.spent],
        "restated": [[row.line, str(row.image_id)] for row in found.restated],
    }


def _unpacked(day: date, kept: dict[str, list[Any]]) -> Evidence:
    return Evidence(
        [
            FinishedImages(day, reviewer and _id(reviewer), arm, line, count, np.array(seconds))
            for reviewer, arm, line, count, seconds in kept["finished"]
        ],
        [DecisionCount(day, _id(label), *rest) for label, *rest in kept["decisions"]],
        [SpentTime(day, *row) for row in kept["spent"]],
        [RestatedImage(day, line, _id(image)) for line, image in kept["restated"]],
    )


def _part(period: Period, start: datetime, end: datetime) -> Period:
    return replace(period, start=start, end=end)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """In UTC: moments of one zone compare by their wall clocks, which are set back once a year."""
    return datetime.combine(day, time(), zone).astimezone(UTC)

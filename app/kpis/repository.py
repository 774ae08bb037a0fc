"""The SQL behind the KPIs. Undone annotations, and decisions that came with them, do not count."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import TextClause, func, or_, select, text
from sqlalchemy.orm import Session

from app.annotations.models import Annotation
from app.kpis.formulas import Floats
from app.training.models import ModelState, ModelVersion

# The smallest step of time that the database knows.
MOMENT = timedelta(microseconds=1)
# Each KPI joins what it needs of these, so that its plan is the database's to choose. What was
# undone is little, and an index finds it: cheaper than to look for an undo of every statement.
UNDONE = """
undone AS MATERIALIZED (
    SELECT undoes_id AS id FROM annotation
    WHERE project_id = :project_id AND undoes_id IS NOT NULL)
"""
# `is_lost`: an older statement that it built on was undone since, and of a label that one named
# nobody had stated anything else by then: it did not finish the image after all.
FINISHED = """
reopened AS MATERIALIZED (
    SELECT image_id FROM annotation WHERE id IN (SELECT id FROM undone) AND source <> 'auto'),
touched AS MATERIALIZED (
    SELECT DISTINCT image_id FROM annotation
    WHERE project_id = :project_id AND created_at >= :start AND created_at < :end
      AND finishes_image AND source = 'human'),
first AS (
    SELECT DISTINCT ON (image_id) id, image_id, author_id, created_at, arm
    FROM annotation
    WHERE image_id IN (SELECT image_id FROM touched)
      AND project_id = :project_id AND created_at < :end AND finishes_image AND source = 'human'
      AND undoes_id IS NULL AND id NOT IN (SELECT id FROM undone)
      AND NOT (image_id IN (SELECT image_id FROM reopened) AND EXISTS (
        SELECT FROM annotation AS taken_back
        JOIN annotation_label AS lost ON lost.annotation_id = taken_back.id
        JOIN label ON label.id = lost.label_id AND label.archived_at IS NULL
        WHERE taken_back.image_id = annotation.image_id
          AND taken_back.created_at < annotation.created_at
          AND taken_back.source <> 'auto' AND taken_back.id IN (SELECT id FROM undone)
          AND NOT EXISTS (
            SELECT FROM annotation AS held
            JOIN annotation_label AS kept ON kept.annotation_id = held.id
            WHERE held.image_id = annotation.image_id
              AND held.created_at <= annotation.created_at AND held.source <> 'auto'
              AND held.undoes_id IS NULL AND held.id NOT IN (SELECT id FROM undone)
              AND kept.label_id = lost.label_id)))
    ORDER BY image_id, created_at, id),
finished AS (
    SELECT first.id, first.image_id, first.author_id, first.created_at,
        CASE WHEN bool_and(step.arm IS NOT DISTINCT FROM first.arm) THEN first.arm END AS arm,
        CASE WHEN bool_and(step.active_ms IS NOT NULL)
            THEN CAST(sum(step.active_ms) AS bigint) END AS active_ms
    FROM first
    JOIN annotation AS step
      ON step.image_id = first.image_id AND step.created_at <= first.created_at
    WHERE first.created_at >= :start AND step.project_id = :project_id
      AND step.source = 'human' AND step.undoes_id IS NULL
      AND step.id NOT IN (SELECT id FROM undone)
    GROUP BY first.id, first.image_id, first.author_id, first.created_at, first.arm)
"""
# Images that name a line have an index of their own; a project without lines has nothing in it.
PLACE = """
LEFT JOIN image AS place
  ON place.id = {image_id} AND place.project_id = :project_id AND place.line IS NOT NULL
"""
ON_LINE = "(CAST(:line AS text) IS NULL OR place.line = CAST(:line AS text))"
DAY = "CAST(timezone(CAST(:time_zone AS text), {moment}) AS date)"
# Nobody had to open them: models alone decided every label.
CLEARED = """
cleared AS (
    SELECT id AS image_id, cleared_at AS at FROM image
    WHERE project_id = :project_id AND cleared_at >= :start AND cleared_at < :end)
"""
# The newest statement of each person about each label of these images.
OPINION = """
opinion AS (
    SELECT DISTINCT ON (image_id, label_id, author_id)
        annotation.id AS annotation_id, image_id, label_id, author_id, created_at, arm, value
    FROM annotation JOIN annotation_label ON annotation_label.annotation_id = annotation.id
    WHERE image_id = ANY(CAST(:image_ids AS uuid[])) AND source = 'human'
      AND created_at >= :start AND created_at < :end
      AND undoes_id IS NULL AND annotation.id NOT IN (SELECT id FROM undone)
      AND value <> 'unsure'
    ORDER BY image_id, label_id, author_id, created_at DESC, annotation.id DESC)
"""
UNANSWERED = """
pseudo_label.project_id = :project_id AND pseudo_label.state = 'pending' AND NOT EXISTS (
    SELECT FROM image_label
    WHERE image_label.image_id = pseudo_label.image_id
      AND image_label.label_id = pseudo_label.label_id AND image_label.source <> 'auto')
"""


@dataclass(frozen=True)
class Period:
    """A project's time from `start` to before `end` (both aware), in days of its own zone, of one
    line or of all."""

    project_id: UUID
    start: datetime
    end: datetime
    time_zone: str
    line: str | None = None


@dataclass(frozen=True)
class FinishedImages:
    """Images whose labels people have all decided, alike in all but their `seconds`; those of
    which a step was not timed are in `count` only.

    `arm` is empty when their steps were not all made in the same arm.
    """

    day: date
    reviewer_id: UUID | None
    arm: str | None
    line: str | None
    count: int
    seconds: Floats


@dataclass(frozen=True)
class DecisionCount:
    """So many decisions that are alike in every respect the KPIs know."""

    day: date
    label_id: UUID
    arm: str | None
    was_shown: bool
    verdict: str
    suggested_value: str | None
    value: str
    line: str | None
    count: int


@dataclass(frozen=True)
class SpentTime:
    """All active time that people reported, whatever it was for, and that of audits."""

    day: date
    line: str | None
    active_ms: int
    audit_ms: int


@dataclass(frozen=True)
class ClearedImages:
    """Images whose every label was decided with a model's help and without anybody's time."""

    day: date
    line: str | None
    count: int


@dataclass(frozen=True)
class RestatedImage:
    """An image that somebody stated something about after somebody had: it may hold two opinions.
    Few do."""

    day: date
    line: str | None
    image_id: UUID


@dataclass(frozen=True)
class QueueAges:
    """How many suggestions wait, and when the oldest and the middle one were made."""

    pending: int
    oldest: datetime | None
    median: datetime | None


@dataclass(frozen=True)
class ModelFigures:
    number: int
    metrics: Mapping[str, Any]


def sql(*parts: str) -> TextClause:
    return text("\n".join(parts))


_FINISHED_IMAGES = sql(
    "WITH", UNDONE, ",", FINISHED,
    "SELECT", DAY.format(moment="finished.created_at"), "AS day,",
    """
    author_id, arm, place.line, count(*) AS images,
    array_agg(active_ms) FILTER (WHERE active_ms IS NOT NULL) AS milliseconds
    FROM finished
    """,
    PLACE.format(image_id="finished.image_id"),
    "GROUP BY day, author_id, arm, place.line",
)  # fmt: skip
# A photo has a decision about each of its labels, but one line: it is looked up once.
_DECISION_COUNTS = sql(
    "WITH", UNDONE,
    """
    , counted AS MATERIALIZED (
        SELECT created_at, image_id, label_id, arm, was_shown, verdict, suggested_value, value
        FROM decision
        WHERE project_id = :project_id AND created_at >= :start AND created_at < :end
          AND annotation_id NOT IN (SELECT id FROM undone)),
    place AS MATERIALIZED (
        SELECT id, line FROM image
        WHERE project_id = :project_id AND line IS NOT NULL
          AND id IN (SELECT image_id FROM counted))
    """,
    "SELECT", DAY.format(moment="counted.created_at"), "AS day,",
    """
    label_id, arm, was_shown, verdict, suggested_value, value, place.line, count(*)
    FROM counted LEFT JOIN place ON place.id = counted.image_id
    GROUP BY day, label_id, arm, was_shown, verdict, suggested_value, value, place.line
    """,
)  # fmt: skip
_SPENT_TIMES = sql(
    "WITH", UNDONE,
    "SELECT", DAY.format(moment="annotation.created_at"), "AS day, place.line,",
    """
    coalesce(sum(active_ms) FILTER (WHERE source = 'human'), 0),
    coalesce(sum(active_ms) FILTER (WHERE arm = 'audit'), 0)
    FROM annotation
    """,
    PLACE.format(image_id="annotation.image_id"),
    """
    WHERE annotation.project_id = :project_id AND active_ms IS NOT NULL
      AND annotation.created_at >= :start AND annotation.created_at < :end
      AND undoes_id IS NULL AND annotation.id NOT IN (SELECT id FROM undone)
    GROUP BY day, place.line
    """,
)  # fmt: skip
# They can be a large part of all photos: to look up where a day begins in the index, once a day, is
# half the work of asking each photo for its day.
_CLEARED_IMAGES = sql(
    "SELECT CAST(span.day AS date), line, count FROM generate_series(",
    DAY.format(moment="CAST(:start AS timestamptz)"), ", ",
    DAY.format(moment="CAST(:end AS timestamptz)"),
    """
    , interval '1 day') AS span(day), LATERAL (
        SELECT line, count(*) AS count FROM image
        WHERE project_id = :project_id AND cleared_at >= :start AND cleared_at < :end
          AND cleared_at >= timezone(CAST(:time_zone AS text), CAST(span.day AS timestamp))
          AND cleared_at < timezone(
            CAST(:time_zone AS text), CAST(span.day AS timestamp) + interval '1 day')
        GROUP BY line) AS cleared
    """,
)  # fmt: skip
# Of what was undone too: whether these images do hold two opinions is for `_OPINIONS` to say.
_RESTATED_IMAGES = sql(
    "SELECT DISTINCT", DAY.format(moment="again.created_at"), """AS day, place.line, again.image_id
    FROM annotation AS again
    """,
    PLACE.format(image_id="again.image_id"),
    """
    WHERE again.project_id = :project_id AND again.source = 'human' AND again.undoes_id IS NULL
      AND again.created_at >= :start AND again.created_at < :end
      AND again.created_at > (
        SELECT min(created_at) FROM annotation AS before
        WHERE before.image_id = again.image_id AND before.source = 'human'
          AND before.undoes_id IS NULL)
    """,
)  # fmt: skip
_OPINIONS = sql(
    "WITH", UNDONE, ",", OPINION,
    "SELECT array_agg(value) FROM opinion GROUP BY image_id, label_id HAVING count(*) > 1",
)  # fmt: skip
_OLDEST_WAITING = sql(
    "SELECT created_at FROM pseudo_label WHERE", UNANSWERED, "ORDER BY created_at LIMIT 1"
)
# What was answered and not yet put aside is too little to move the middle.
_MIDDLE_WAITING = text("""
    SELECT created_at FROM pseudo_label WHERE project_id = :project_id AND state = 'pending'
    ORDER BY created_at OFFSET :before LIMIT 1
""")
_WAITING_ON_LINE = sql(
    """
    SELECT count(*), min(pseudo_label.created_at),
        percentile_disc(0.5) WITHIN GROUP (ORDER BY pseudo_label.created_at)
    FROM pseudo_label
    JOIN image AS place ON place.id = pseudo_label.image_id AND place.line = :line
    WHERE place.project_id = :project_id AND
    """,
    UNANSWERED,
)
# A step of the recursion asks the index for the next line: as many look-ups as there are lines.
_LINES = text("""
WITH RECURSIVE found AS (
    (SELECT line FROM image WHERE project_id = :project_id AND line IS NOT NULL
     ORDER BY line LIMIT 1)
    UNION ALL
    SELECT (SELECT line FROM image WHERE project_id = :project_id AND line > found.line
            ORDER BY line LIMIT 1)
    FROM found WHERE found.line IS NOT NULL)
SELECT line FROM found WHERE line IS NOT NULL LIMIT :most
""")
MOST_LINES = 200


def first_statement(session: Session, project_id: UUID) -> datetime | None:
    """When anything was stated first about a photo of the project."""
    return session.scalar(
        select(func.min(Annotation.created_at)).where(Annotation.project_id == project_id)
    )


def finished_images(session: Session, period: Period) -> list[FinishedImages]:
    rows = session.execute(_FINISHED_IMAGES, vars(period))
    return [
        FinishedImages(
            day=row.day,
            reviewer_id=row.author_id,
            arm=row.arm,
            line=row.line,
            count=row.images,
            seconds=_seconds(row.milliseconds),
        )
        for row in rows
    ]


def _seconds(milliseconds: list[int] | None) -> Floats:
    return np.array(milliseconds or (), dtype=np.float64) / 1000


def decision_counts(session: Session, period: Period) -> list[DecisionCount]:
    return [DecisionCount(*row) for row in session.execute(_DECISION_COUNTS, vars(period))]


def spent_times(session: Session, period: Period) -> list[SpentTime]:
    rows = session.execute(_SPENT_TIMES, vars(period))
    return [SpentTime(row[0], row[1], int(row[2]), int(row[3])) for row in rows]


def cleared_images(session: Session, period: Period) -> list[ClearedImages]:
    return [ClearedImages(*row) for row in session.execute(_CLEARED_IMAGES, vars(period))]


def restated_images(session: Session, period: Period) -> list[RestatedImage]:
    return [RestatedImage(*row) for row in session.execute(_RESTATED_IMAGES, vars(period))]


def opinions(session: Session, period: Period, image_ids: Collection[UUID]) -> list[list[str]]:
    """Per (image, label) that two people or more stated in the period: the newest value of each."""
    given = {**vars(period), "image_ids": list(image_ids)}
    return list(session.scalars(_OPINIONS, given)) if image_ids else []


def queue_ages(session: Session, period: Period, pending: int) -> QueueAges:
    """Of the open pseudo-labels; `pending`: how many the whole project has."""
    project = {"project_id": period.project_id}
    if period.line is not None:
        return QueueAges(*session.execute(_WAITING_ON_LINE, project | {"line": period.line}).one())
    oldest = session.scalar(_OLDEST_WAITING, project)
    if oldest is None:
        return QueueAges(pending, None, None)
    before = max(pending - 1, 0) // 2
    middle = session.scalar(_MIDDLE_WAITING, project | {"before": before})
    return QueueAges(pending, oldest, middle or oldest)


def lines(session: Session, project_id: UUID) -> list[str]:
    """The lines that photos name, in alphabetical order; of very many, the first."""
    return list(session.scalars(_LINES, {"project_id": project_id, "most": MOST_LINES}))


def first_and_live(
    session: Session, project_id: UUID
) -> tuple[ModelFigures | None, ModelFigures | None]:
    names = ("map", "ap", "recall")
    first = select(func.min(ModelVersion.number)).where(ModelVersion.project_id == project_id)
    is_live = ModelVersion.state == ModelState.LIVE
    rows = session.execute(
        select(ModelVersion.number, is_live, *(ModelVersion.metrics[name] for name in names))
        .where(ModelVersion.project_id == project_id)
        .where(or_(is_live, ModelVersion.number == first.scalar_subquery()))
        .order_by(ModelVersion.number)
    ).all()
    found = [ModelFigures(row[0], dict(zip(names, row[2:], strict=True))) for row in rows]
    live = next((one for one, row in zip(found, rows, strict=True) if row[1]), None)
    return (found[0] if found else None), live

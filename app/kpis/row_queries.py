"""The SQL of the rows behind each figure: the same conditions as in `repository`, row by row."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause
from sqlalchemy.orm import Session

from app.annotations.models import Annotation
from app.core.clock import now
from app.core.pagination import Slice, decode_cursor, encode_cursor
from app.kpis.repository import (
    CLEARED,
    DAY,
    FINISHED,
    MOMENT,
    OPINION,
    UNANSWERED,
    UNDONE,
    Period,
    sql,
)
from app.kpis.schemas import Figure

_NO_DECISION = """
    CAST(NULL AS uuid) AS label_id, CAST(NULL AS text) AS suggested_value,
    CAST(NULL AS text) AS stated_value, CAST(NULL AS text) AS verdict,
    CAST(NULL AS numeric) AS agreeing
"""
_OF_IMAGES = (
    "SELECT 'finished' AS kind, id, created_at AS at, image_id, author_id, arm, active_ms,",
    _NO_DECISION,
    "FROM finished",
)
_OF_STATEMENTS = (
    "SELECT 'statement' AS kind, id, created_at AS at, image_id, author_id, arm, active_ms,",
    _NO_DECISION,
    """
    FROM annotation
    WHERE project_id = :project_id AND created_at >= :start AND created_at < :end
      AND active_ms IS NOT NULL AND undoes_id IS NULL AND id NOT IN (SELECT id FROM undone)
    """,
)
_OF_AUDITS = (
    "SELECT 'audit', id, at, image_id, author_id, arm, active_ms,",
    _NO_DECISION,
    "FROM (", *_OF_STATEMENTS, ") AS statement WHERE arm = 'audit'",
)  # fmt: skip
_OF_CLEARED = (
    """
    SELECT 'cleared', image_id, at, image_id, CAST(NULL AS uuid), CAST(NULL AS text),
        CAST(NULL AS bigint),
    """,
    _NO_DECISION,
    "FROM cleared",
)
_OF_DECISIONS = (
    """
    SELECT 'decision' AS kind, id, created_at AS at, image_id, reviewer_id AS author_id, arm,
        active_ms, label_id, suggested_value, value AS stated_value, verdict,
        CAST(NULL AS numeric) AS agreeing
    FROM decision
    WHERE project_id = :project_id AND created_at >= :start AND created_at < :end
      AND annotation_id NOT IN (SELECT id FROM undone)
    """,
)
_BLIND = "AND arm IN ('control', 'audit') AND NOT was_shown"
# What hidden suggestions say, or that there are any, is nobody's to see before people decided.
_OF_QUEUE = (
    """
    SELECT 'suggestion' AS kind, pseudo_label.id, pseudo_label.created_at AS at,
        pseudo_label.image_id, CAST(NULL AS uuid) AS author_id, CAST(NULL AS text) AS arm,
        CAST(NULL AS bigint) AS active_ms, label_id, pseudo_label.value AS suggested_value,
        CAST(NULL AS text) AS stated_value, CAST(NULL AS text) AS verdict,
        CAST(NULL AS numeric) AS agreeing
    FROM pseudo_label
    JOIN image AS seen ON seen.id = pseudo_label.image_id
    JOIN project ON project.id = pseudo_label.project_id
    WHERE seen.arm_draw >= project.control_rate AND
    """,
    UNANSWERED,
)
# A statement about several labels is as many rows. `agreeing`: of the others, the share who say so.
_OF_OPINIONS = (
    """
    SELECT 'opinion' AS kind, CAST(md5(annotation_id || '/' || label_id) AS uuid) AS id,
        created_at AS at, image_id, author_id, arm, CAST(NULL AS bigint) AS active_ms, label_id,
        CAST(NULL AS text) AS suggested_value, value AS stated_value,
        CAST(NULL AS text) AS verdict, (alike - 1.0) / (people - 1) AS agreeing
    FROM (
        SELECT *, count(*) OVER (PARTITION BY image_id, label_id) AS people,
            count(*) OVER (PARTITION BY image_id, label_id, value) AS alike
        FROM opinion) AS counted
    WHERE people > 1
    """,
)
_SOURCES: dict[Figure, Sequence[str]] = {
    Figure.TIME_SAVED: (
        *_OF_IMAGES, "WHERE active_ms IS NOT NULL AND arm IN ('control', 'assisted')",
        "UNION ALL", *_OF_AUDITS, "UNION ALL", *_OF_CLEARED,
    ),
    Figure.FINISHED_IMAGES: _OF_IMAGES,
    Figure.IMAGES_PER_HOUR: (*_OF_IMAGES, "WHERE active_ms IS NOT NULL"),
    Figure.ACTIVE_TIME: (*_OF_STATEMENTS, "AND source = 'human'"),
    Figure.ACCEPTANCE_RATE: (*_OF_DECISIONS, "AND was_shown AND verdict IN ('accept', 'reject')"),
    Figure.PRECISION: (
        *_OF_DECISIONS, _BLIND, "AND suggested_value = 'present' AND value IN ('present', 'absent')"
    ),
    Figure.RECALL: (*_OF_DECISIONS, _BLIND, "AND value = 'present'"),
    Figure.ABSENT_PRECISION: (
        *_OF_DECISIONS, _BLIND, "AND suggested_value = 'absent' AND value IN ('present', 'absent')"
    ),
    Figure.QUEUE: _OF_QUEUE,
    Figure.AGREEMENT: _OF_OPINIONS,
}  # fmt: skip
_NEEDED = {
    Figure.TIME_SAVED: (FINISHED, CLEARED),
    Figure.FINISHED_IMAGES: (FINISHED,),
    Figure.IMAGES_PER_HOUR: (FINISHED,),
    Figure.AGREEMENT: (OPINION,),
}
_PAGE = """
FROM evidence
JOIN image ON image.id = evidence.image_id
LEFT JOIN user_account ON user_account.id = evidence.author_id
WHERE (CAST(:line AS text) IS NULL OR image.line = CAST(:line AS text))
  AND (CAST(:label_id AS uuid) IS NULL OR evidence.label_id = CAST(:label_id AS uuid))
"""
_NEWEST_FIRST = """
  AND (CAST(:last_at AS timestamptz) IS NULL OR (evidence.at, evidence.id)
    < (CAST(:last_at AS timestamptz), CAST(:last_id AS uuid)))
ORDER BY evidence.at DESC, evidence.id DESC LIMIT :limit
"""
_OLDEST_FIRST = """
  AND (CAST(:last_at AS timestamptz) IS NULL OR (evidence.at, evidence.id)
    > (CAST(:last_at AS timestamptz), CAST(:last_id AS uuid)))
ORDER BY evidence.at, evidence.id LIMIT :limit
"""


@dataclass(frozen=True)
class EvidenceRow:
    kind: str
    id: UUID
    at: datetime
    image_id: UUID
    author_id: UUID | None
    arm: str | None
    active_ms: int | None
    label_id: UUID | None
    suggested_value: str | None
    stated_value: str | None
    verdict: str | None
    agreeing: Decimal | None
    line: str | None
    file_name: str | None
    reviewer: str | None
    day: date

    @property
    def seconds(self) -> float | None:
        return None if self.active_ms is None else self.active_ms / 1000


def _query(figure: Figure) -> TextClause:
    tables = (UNDONE, *_NEEDED.get(figure, ()))
    return sql(
        "WITH", ",".join(tables), ", evidence AS (", *_SOURCES[figure], ")",
        """
        SELECT evidence.*, image.line,
            CASE WHEN image.deleted_at IS NULL THEN image.file_name END AS file_name,
            user_account.display_name AS reviewer,
        """,
        DAY.format(moment="evidence.at"), "AS day",
        _PAGE, _OLDEST_FIRST if figure == Figure.QUEUE else _NEWEST_FIRST,
    )  # fmt: skip


_QUERIES = {figure: _query(figure) for figure in Figure}


def rows_behind(
    session: Session,
    period: Period,
    figure: Figure,
    *,
    label_id: UUID | None = None,
    image_ids: Collection[UUID] = (),
    cursor: str | None = None,
    limit: int,
) -> Slice[EvidenceRow]:
    """The newest first; of the queue, what has waited longest. `image_ids`: of opinions, whose."""
    last: list[Any] = [None, None]
    if cursor is not None:
        place = (Annotation.created_at.expression, Annotation.id.expression)
        last = decode_cursor(cursor, place)
    given = {**vars(period), "label_id": label_id}
    given |= {"image_ids": list(image_ids), "last_at": last[0], "last_id": last[1]}
    rows: list[EvidenceRow] = []
    for start, end in _parts(figure, period, last[0]):
        wanted = {"start": start, "end": end, "limit": limit + 1 - len(rows)}
        rows += [EvidenceRow(*row) for row in session.execute(_QUERIES[figure], given | wanted)]
        if len(rows) > limit:
            return Slice(rows[:limit], encode_cursor([rows[limit - 1].at, rows[limit - 1].id]))
    return Slice(rows, None)


def _parts(
    figure: Figure, period: Period, last_at: datetime | None
) -> Iterator[tuple[datetime, datetime]]:
    """Of a period, from its end back and ever longer: the newest rows are mostly all that is asked
    for. What waits is read from an index, and opinions meet across parts: both in one piece."""
    if figure in (Figure.QUEUE, Figure.AGREEMENT):
        yield period.start, period.end
        return
    end = period.end if last_at is None else min(period.end, last_at + MOMENT)
    # Nothing happens later than now: of a long future there is only one part.
    newest, length = min(end, now()), timedelta(days=1)
    while end > period.start:
        is_last = newest - period.start <= length
        start = period.start if is_last else newest - length
        yield start, end
        newest = end = start
        length *= 4

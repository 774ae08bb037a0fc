"""A model version's worst mistakes: where it is surest of what people say is not so.

Only evaluation photos count: it did not learn from them, and the test split is nobody's to look at.
Of those that people answered the newest are looked at, so that a page costs the same however many
there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.training.models import ModelVersion

EVEN_ODDS = 0.5
MOST_PHOTOS = 1000

# Of a false alarm and of a miss alike, the worst is the one farthest from even odds. Numbers and
# ids alone are sorted: names are looked up for those that are left.
_WORST = text("""
WITH asked AS (
    SELECT * FROM unnest(CAST(:label_ids AS uuid[]), CAST(:places AS int[])) AS asked(id, place)),
photo AS MATERIALIZED (
    SELECT image.id, prediction.probabilities FROM image
    JOIN prediction
      ON prediction.image_id = image.id AND prediction.model_version_id = :version_id
    WHERE image.project_id = :project_id AND image.split = 'evaluation'
      AND image.deleted_at IS NULL
      AND EXISTS (SELECT FROM image_label WHERE image_id = image.id AND source <> 'auto')
    ORDER BY image.id DESC LIMIT :photos),
mistaken AS MATERIALIZED (
    SELECT photo.id, label_id, probabilities[asked.place] AS probability,
        asked.place * 2 + CAST(value = 'present' AS int) AS kind
    FROM photo
    JOIN image_label ON image_label.image_id = photo.id AND image_label.source <> 'auto'
    JOIN asked ON asked.id = image_label.label_id
    WHERE (value = 'absent' AND probabilities[asked.place] >= :even_odds)
       OR (value = 'present' AND probabilities[asked.place] < :even_odds)),
ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY kind ORDER BY abs(probability - :even_odds) DESC, id) AS rank
    FROM mistaken)
SELECT id, (SELECT file_name FROM image WHERE image.id = ranked.id) AS file_name, label_id,
    CASE kind % 2 WHEN 1 THEN 'present' ELSE 'absent' END AS value, probability
FROM ranked WHERE rank <= :limit ORDER BY kind, rank
""")


@dataclass(frozen=True)
class Mistake:
    """What people say about a label of a photo, and the probability that a version gives it."""

    image_id: UUID
    file_name: str
    label_id: UUID
    value: LabelValue
    probability: float


def worst_mistakes(
    session: Session, version: ModelVersion, label_ids: Sequence[UUID], *, limit: int
) -> list[Mistake]:
    """Label by label at most `limit` false alarms, the surest first, then as many misses; among the
    newest `MOST_PHOTOS` that people answered.

    None for a label that the version does not know, and for a version that never predicted.
    """
    places = {UUID(known): place for place, known in enumerate(version.label_ids, start=1)}
    asked = [label_id for label_id in label_ids if label_id in places]
    given = {
        "label_ids": asked,
        "places": [places[label_id] for label_id in asked],
        "project_id": version.project_id,
        "version_id": version.id,
        "even_odds": EVEN_ODDS,
        "limit": limit,
        "photos": MOST_PHOTOS,
    }
    return [
        Mistake(row.id, row.file_name, row.label_id, LabelValue(row.value), float(row.probability))
        for row in session.execute(_WORST, given)
    ]

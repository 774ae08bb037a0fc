"""A model version's worst mistakes: where it is surest of what people say is not so.

Only evaluation photos count: it did not learn from them, and the test split is nobody's to look at.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.annotations.models import ImageLabel, LabelValue, Source
from app.images.models import Image, Split
from app.pseudolabels.models import Prediction
from app.training.models import ModelVersion

EVEN_ODDS = 0.5


@dataclass(frozen=True)
class Mistake:
    """What people say about a label of a photo, and the probability that a version gives it."""

    image_id: UUID
    file_name: str
    label_id: UUID
    value: LabelValue
    probability: float


def worst_mistakes(
    session: Session, version: ModelVersion, label_id: UUID, *, limit: int
) -> list[Mistake]:
    """At most `limit` false alarms, the surest first, then as many misses.

    None for a label that the version does not know, and for a version that never predicted.
    """
    if str(label_id) not in version.label_ids:
        return []
    probability = Prediction.probabilities[version.label_ids.index(str(label_id)) + 1]
    known = _known(version, label_id).add_columns(probability)
    alarms = known.where(ImageLabel.value == LabelValue.ABSENT, probability >= EVEN_ODDS)
    misses = known.where(ImageLabel.value == LabelValue.PRESENT, probability < EVEN_ODDS)
    found = [
        *session.execute(alarms.order_by(probability.desc(), Image.id).limit(limit)),
        *session.execute(misses.order_by(probability, Image.id).limit(limit)),
    ]
    return [Mistake(row[0], row[1], label_id, LabelValue(row[2]), float(row[3])) for row in found]


def _known(version: ModelVersion, label_id: UUID) -> Select[UUID, str, str]:
    """Evaluation photos that people answered about the label and the version looked at."""
    return (
        select(Image.id, Image.file_name, ImageLabel.value)
        .join(Prediction, Prediction.image_id == Image.id)
        .join(ImageLabel, ImageLabel.image_id == Image.id)
        .where(
            Prediction.model_version_id == version.id,
            ImageLabel.label_id == label_id,
            ImageLabel.source != Source.AUTO,
            Image.split == Split.EVALUATION,
            Image.deleted_at.is_(None),
        )
    )

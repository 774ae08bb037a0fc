"""Model versions side by side: how well each ranks the same photos, and whose answers changed.

Only evaluation photos count that every version looked at and people answered: no version learned
from them, and today's answers are the same measure for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from app.annotations.models import ImageLabel, LabelValue, Source
from app.core.errors import Invalid
from app.images.models import Image, Split
from app.pseudolabels import repository
from app.pseudolabels.mistakes import EVEN_ODDS
from app.pseudolabels.models import Prediction
from app.pseudolabels.paired import Estimate, Precision, draw, precision
from app.training.gate import ENOUGH_POSITIVES
from app.training.models import ModelVersion
from app.training.snapshots import ABSENT, CODES, PRESENT, UNKNOWN

MOST_PHOTOS = 2000  # the newest ones: a page waits for it
FEWEST_VERSIONS, MOST_VERSIONS = 2, 3

Codes = NDArray[np.int8]  # (N,): PRESENT, ABSENT or UNKNOWN
Scores = NDArray[np.float64]  # (N,)


class Finding(StrEnum):
    """What a paired difference says; `OPEN` where its bounds have different signs."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "open"
    TOO_FEW_POSITIVES = "too_few_positives"


@dataclass(frozen=True)
class Exam:
    """Photos that versions looked at, what people say, and what each version says."""

    image_ids: Sequence[UUID]
    file_names: Sequence[str]
    values: Mapping[str, Codes]
    scores: Mapping[UUID, Mapping[str, Scores]]

    @property
    def photos(self) -> int:
        return len(self.image_ids)


@dataclass(frozen=True)
class LabelFigures:
    """One label: on how many photos it was compared, and how well each version (by id) does.

    `differences` are against the base version and miss versions that do not know the label, and
    every version where the base does not.
    """

    label_id: UUID
    photos: int
    positives: int
    precisions: Mapping[UUID, Estimate]
    differences: Mapping[UUID, Estimate]

    def finding(self, version_id: UUID) -> Finding | None:
        difference = self.differences.get(version_id)
        if difference is None:
            return None
        if difference.low is None or difference.high is None:
            return Finding.TOO_FEW_POSITIVES
        if difference.low > 0:
            return Finding.BETTER
        return Finding.WORSE if difference.high < 0 else Finding.OPEN


@dataclass(frozen=True)
class ChangedAnswer:
    """What people say about a label of a photo, and the probability before and after."""

    image_id: UUID
    file_name: str
    label_id: UUID
    value: LabelValue
    before: float
    after: float

    @property
    def swing(self) -> float:
        return abs(self.after - self.before)


@dataclass(frozen=True)
class Changes:
    """Answers that only one of two versions has right, the largest swing first."""

    mended: Sequence[ChangedAnswer]
    newly_wrong: Sequence[ChangedAnswer]


def ensure_comparable(versions: Sequence[ModelVersion]) -> None:
    """Raise `Invalid` unless these are two or three different versions."""
    if not FEWEST_VERSIONS <= len({version.id for version in versions}) <= MOST_VERSIONS:
        raise Invalid("Choose two or three different versions to compare.")


def examine(session: Session, versions: Sequence[ModelVersion]) -> Exam:
    """The photos that all of these versions can be compared on."""
    rows = _answered(session, versions)
    image_ids = [row[0] for row in rows]
    known = {label_id for version in versions for label_id in version.label_ids}
    return Exam(
        image_ids=image_ids,
        file_names=[row[1] for row in rows],
        values={
            label_id: np.array([CODES.get(row[2].get(label_id), UNKNOWN) for row in rows], np.int8)
            for label_id in known
        },
        scores={version.id: _scores(session, version, image_ids) for version in versions},
    )


def _answered(
    session: Session, versions: Sequence[ModelVersion]
) -> list[tuple[UUID, str, dict[str, str]]]:
    """Each photo's id, file name and what people say of it (label id to value)."""
    looked_at = [
        exists().where(Prediction.image_id == Image.id, Prediction.model_version_id == version.id)
        for version in versions
    ]
    rows = (
        select(
            Image.id,
            Image.file_name,
            func.jsonb_object_agg(ImageLabel.label_id, ImageLabel.value),
        )
        .join(ImageLabel, ImageLabel.image_id == Image.id)
        .where(
            Image.project_id == versions[0].project_id,
            Image.split == Split.EVALUATION,
            Image.deleted_at.is_(None),
            ImageLabel.source != Source.AUTO,
            *looked_at,
        )
        .group_by(Image.id)
        .order_by(Image.id.desc())
        .limit(MOST_PHOTOS)
    )
    return [(row[0], row[1], row[2]) for row in session.execute(rows)]


def _scores(
    session: Session, version: ModelVersion, image_ids: Sequence[UUID]
) -> dict[str, Scores]:
    found = repository.predictions_of(session, version.id, image_ids)
    by_image = {one.image_id: one.probabilities for one in found}
    table = np.array([by_image[image_id] for image_id in image_ids], dtype=np.float64)
    table = table.reshape(len(image_ids), len(version.label_ids))
    return dict(zip(version.label_ids, table.T, strict=True))


def unseen(session: Session, versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    """Those of the versions that have looked at no photo to measure with."""
    looked = (
        select(Image.id)
        .join(Prediction, Prediction.image_id == Image.id)
        .where(Image.split == Split.EVALUATION, Image.deleted_at.is_(None))
        .limit(1)
    )
    return [
        version
        for version in versions
        if session.scalar(looked.where(Prediction.model_version_id == version.id)) is None
    ]


def compare(exam: Exam, base_id: UUID) -> list[LabelFigures]:
    """The figures of every label that a version knows, the others against `base_id`."""
    return [_figures(exam, label_id, base_id) for label_id in exam.values]


def _figures(exam: Exam, label_id: str, base_id: UUID) -> LabelFigures:
    codes = exam.values[label_id]
    known = codes != UNKNOWN
    present = codes[known] == PRESENT
    positives = int(present.sum())
    if positives == 0:
        return LabelFigures(UUID(label_id), len(present), 0, {}, {})
    enough = positives >= ENOUGH_POSITIVES
    drawn = draw(len(present)) if enough else np.zeros((0, len(present)), dtype=np.int32)
    found = {
        version_id: precision(scores[label_id][known], present, drawn)
        for version_id, scores in exam.scores.items()
        if label_id in scores
    }
    return LabelFigures(
        UUID(label_id),
        photos=len(present),
        positives=positives,
        precisions={version_id: one.estimate() for version_id, one in found.items()},
        differences=_differences(found, base_id),
    )


def _differences(found: Mapping[UUID, Precision], base_id: UUID) -> dict[UUID, Estimate]:
    base = found.get(base_id)
    if base is None:
        return {}
    return {
        version_id: one.minus(base) for version_id, one in found.items() if version_id != base_id
    }


def changes(exam: Exam, version_id: UUID, base_id: UUID) -> Changes:
    """Every answer of which one of the two is right and the other is not, at even odds."""
    mended: list[ChangedAnswer] = []
    newly_wrong: list[ChangedAnswer] = []
    for label_id, codes in exam.values.items():
        before = exam.scores[base_id].get(label_id)
        after = exam.scores[version_id].get(label_id)
        if before is None or after is None:
            continue
        was_right, is_right = _is_right(before, codes), _is_right(after, codes)
        known = codes != UNKNOWN
        for rows, answers in (
            (known & ~was_right & is_right, mended),
            (known & was_right & ~is_right, newly_wrong),
        ):
            answers += [
                _changed(exam, int(row), label_id, before, after) for row in np.flatnonzero(rows)
            ]
    return Changes(_by_swing(mended), _by_swing(newly_wrong))


def _is_right(scores: Scores, codes: Codes) -> NDArray[np.bool_]:
    return np.asarray((scores >= EVEN_ODDS) == (codes == PRESENT))


def _changed(exam: Exam, row: int, label_id: str, before: Scores, after: Scores) -> ChangedAnswer:
    is_absent = exam.values[label_id][row] == ABSENT
    return ChangedAnswer(
        image_id=exam.image_ids[row],
        file_name=exam.file_names[row],
        label_id=UUID(label_id),
        value=LabelValue.ABSENT if is_absent else LabelValue.PRESENT,
        before=float(before[row]),
        after=float(after[row]),
    )


def _by_swing(answers: Sequence[ChangedAnswer]) -> list[ChangedAnswer]:
    return sorted(answers, key=lambda one: (-one.swing, one.image_id, one.label_id))

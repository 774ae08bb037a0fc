"""The frozen input of one training: which images, what is known of each label, which split.

Partial knowledge is allowed: a label that nobody stated, or that people were unsure about, is
unknown. Automatic labels never enter, and neither does the test split. The rows are built here;
the worker keeps them as a file, because only it has the library for that.
"""

import hashlib
import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.images.models import Split
from app.projects import service as projects
from app.training import repository
from app.training.models import DatasetSnapshot

PRESENT, ABSENT, UNKNOWN = 1, 0, -1
CODES: dict[str | None, int] = {LabelValue.PRESENT: PRESENT, LabelValue.ABSENT: ABSENT}

# A training looks at no more unlabelled photos than this, however many there are: its rounds
# draw from them, and more would only be decoded for nothing.
MOST_UNLABELED = 20_000


@dataclass(frozen=True)
class LabelColumn:
    """A label as the training sees it."""

    id: UUID
    key: str
    prompts: tuple[str, ...]
    miss_cost: float


@dataclass(frozen=True)
class SnapshotRow:
    """One image; `values` has one code per label column."""

    image_id: UUID
    sha256: str
    split: Split
    values: tuple[int, ...]

    @property
    def is_labeled(self) -> bool:
        return any(value != UNKNOWN for value in self.values)


@dataclass(frozen=True)
class Snapshot:
    labels: tuple[LabelColumn, ...]
    rows: tuple[SnapshotRow, ...]

    def digest(self) -> str:
        """SHA-256 of the content, whatever file holds it."""
        digest = hashlib.sha256()
        for line in self._lines():
            digest.update(json.dumps(line).encode() + b"\n")
        return digest.hexdigest()

    def _lines(self) -> Iterator[list[Any]]:
        for label in self.labels:
            yield [str(label.id), label.key, label.prompts, label.miss_cost]
        for row in self.rows:
            yield [str(row.image_id), row.sha256, row.split, row.values]

    def counts(self) -> dict[str, Any]:
        """How many images take part as what, and how often each label (by id) is known."""
        labeled = [row for row in self.rows if row.is_labeled]
        train = [row for row in labeled if row.split == Split.TRAIN]
        evaluation = [row for row in labeled if row.split == Split.EVALUATION]
        return {
            "images": len(self.rows),
            "labeled": len(train),
            "evaluation": len(evaluation),
            "unlabeled": len(self.rows) - len(labeled),
            "labels": {
                str(label.id): {
                    "train": _tally(train, column),
                    "evaluation": _tally(evaluation, column),
                }
                for column, label in enumerate(self.labels)
            },
        }


def _tally(rows: Sequence[SnapshotRow], column: int) -> dict[str, int]:
    values = [row.values[column] for row in rows]
    return {"present": values.count(PRESENT), "absent": values.count(ABSENT)}


def build(session: Session, project_id: UUID, *, seed: int = 0) -> Snapshot:
    """What is known now. `seed` decides which unlabelled images are left out of a large pool."""
    labels = tuple(
        LabelColumn(label.id, label.key, tuple(label.prompts), label.miss_cost)
        for label in projects.list_labels(session, project_id)
    )
    labeled, unlabeled = [], []
    for row in _rows(session, project_id, labels):
        if row.is_labeled:
            labeled.append(row)
        elif row.split == Split.TRAIN:
            unlabeled.append(row)
    if len(unlabeled) > MOST_UNLABELED:
        unlabeled = heapq.nsmallest(MOST_UNLABELED, unlabeled, key=lambda row: _lot(row, seed))
    rows = sorted(labeled + unlabeled, key=lambda row: row.image_id)
    return Snapshot(labels, tuple(rows))


def _rows(
    session: Session, project_id: UUID, labels: Sequence[LabelColumn]
) -> Iterator[SnapshotRow]:
    for image_id, sha256, split, stated in repository.stated_images(session, project_id):
        values = tuple(CODES.get((stated or {}).get(str(label.id)), UNKNOWN) for label in labels)
        yield SnapshotRow(image_id, sha256, Split(split), values)


def _lot(row: SnapshotRow, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{row.sha256}".encode()).digest()


def find(session: Session, job_id: UUID) -> DatasetSnapshot | None:
    """The snapshot that an earlier attempt of this training froze."""
    return session.get(DatasetSnapshot, job_id)


def record(
    session: Session, snapshot: Snapshot, *, project_id: UUID, job_id: UUID, blob_key: str
) -> DatasetSnapshot:
    """Note where a frozen snapshot lies. Its id is that of the training it was frozen for."""
    row = DatasetSnapshot(
        id=job_id,
        project_id=project_id,
        sha256=snapshot.digest(),
        counts=snapshot.counts(),
        blob_key=blob_key,
    )
    session.add(row)
    session.flush()
    return row

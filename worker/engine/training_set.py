"""A snapshot as learning takes it: photos for a backbone that is tuned, tokens for a frozen one."""

import dataclasses
from collections.abc import Callable, Sequence
from uuid import UUID

import numpy as np

from app.images.models import Split
from app.training.snapshots import UNKNOWN, Snapshot, SnapshotRow
from worker.engine.feature_store import FeatureStore
from worker.engine.features import FrozenFeatures
from worker.engine.photos import PhotoReader
from worker.learning import dataset
from worker.learning.backbone import Backbone
from worker.learning.dataset import FeaturesByPhoto, TrainingSet
from worker.learning.plan import TrainingConfig

# The rest of the token store is for other trainings, which may run at the same time.
STORE_SHARE = 0.8


def with_photos(snapshot: Snapshot, photos: PhotoReader) -> TrainingSet:
    return _assembled(snapshot.rows, len(snapshot.labels), photos)


def with_tokens(
    snapshot: Snapshot,
    backbone: Backbone,
    config: TrainingConfig,
    photos: PhotoReader,
    store: FeatureStore,
    *,
    before_batch: Callable[[float], None],
) -> TrainingSet:
    """The set with features of the frozen backbone, computed once and kept.

    `config` is a resolved one. Of the unlabelled photos as many take part as the store has room
    for.
    """
    features = FrozenFeatures(store, backbone, config, photos)
    room = store.budget_bytes * STORE_SHARE / features.bytes_per_photo(snapshot.rows[0].sha256)
    rows = _most_useful(snapshot.rows, int(room))
    features.fill([row.sha256 for row in rows], before_batch=before_batch)
    return _assembled(rows, len(snapshot.labels), photos, features)


def in_order(photos: TrainingSet, snapshot: Snapshot, label_ids: Sequence[UUID]) -> TrainingSet:
    """The set with a column for each of these labels; of those that the snapshot lacks, nothing
    is known."""
    places = {label.id: place for place, label in enumerate(snapshot.labels)}
    labels = np.full((len(photos.keys), len(label_ids)), UNKNOWN, dtype=np.int8)
    for column, label_id in enumerate(label_ids):
        if label_id in places:
            labels[:, column] = photos.labels[:, places[label_id]]
    return dataclasses.replace(photos, labels=labels)


def _most_useful(rows: Sequence[SnapshotRow], count: int) -> tuple[SnapshotRow, ...]:
    """Every labelled row, and the first unlabelled ones up to `count` rows in all."""
    spare = count - sum(row.is_labeled for row in rows)
    chosen = []
    for row in rows:
        if not row.is_labeled:
            spare -= 1
        if row.is_labeled or spare >= 0:
            chosen.append(row)
    return tuple(chosen)


def _assembled(
    rows: Sequence[SnapshotRow],
    n_labels: int,
    photos: PhotoReader,
    features: FrozenFeatures | None = None,
) -> TrainingSet:
    contents = [row.sha256 for row in rows]
    values = np.array([row.values for row in rows], dtype=np.int8)
    return TrainingSet(
        keys=tuple(str(row.image_id) for row in rows),
        labels=values.reshape(len(rows), n_labels),
        split=tuple(_split(row) for row in rows),
        photos=lambda index: photos(contents[index]),
        sizes=lambda index: photos.size(contents[index]),
        features=None if features is None else _by_row(features, contents),
    )


def _by_row(features: FrozenFeatures, contents: Sequence[str]) -> FeaturesByPhoto:
    return FeaturesByPhoto(
        lambda row, view: features(contents[row], view), features.config.strong_views
    )


def _split(row: SnapshotRow) -> dataset.Split:
    if row.split == Split.EVALUATION:
        return dataset.Split.VALIDATION
    return dataset.Split.TRAIN if row.is_labeled else dataset.Split.UNLABELED

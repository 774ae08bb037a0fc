"""Tokens for a frozen training: computed once, within the budget, again after an eviction."""

import dataclasses
from uuid import UUID

import numpy as np
import pytest

from app.images.models import Split
from app.training.snapshots import LabelColumn, Snapshot, SnapshotRow
from worker.engine.feature_store import FeatureStore
from worker.engine.training_set import with_tokens
from worker.learning.backbone import untrained
from worker.learning.plan import Mode, Precision, TrainingConfig

SIDE = 32
CONFIG = TrainingConfig(mode=Mode.FROZEN, resolution=SIDE, tiles=(1, 1), precision=Precision.FP32)


class Photos:
    """Grey squares by content, and how often each was read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, sha256: str) -> np.ndarray:
        self.read.append(sha256)
        return np.full((SIDE, SIDE), int(sha256, 16) * 20, np.uint8)


def snapshot(*values: int) -> Snapshot:
    rows = tuple(
        SnapshotRow(UUID(int=n), f"{n:02x}", Split.TRAIN, (value,))
        for n, value in enumerate(values)
    )
    return Snapshot((LabelColumn(UUID(int=99), "dark", (), 1.0),), rows)


@pytest.fixture(scope="module")
def backbone():
    return untrained("kizu-small")


def assembled(folder, backbone, photos, frozen, *, budget=2**24):
    store = FeatureStore(folder, budget)
    return with_tokens(frozen, backbone, CONFIG, photos, store, before_batch=lambda share: None)


def test_each_photo_is_encoded_once_also_by_the_next_training(tmp_path, backbone):
    frozen, photos = snapshot(1, 0, -1), Photos()
    first = assembled(tmp_path, backbone, photos, frozen)
    read = len(photos.read)
    again = assembled(tmp_path, backbone, photos, frozen)
    assert len(photos.read) == read
    for index in range(3):
        assert np.array_equal(first.features(index)[0], again.features(index)[0])
    assert first.fingerprint() == again.fingerprint()


def test_what_was_evicted_is_computed_again(tmp_path, backbone):
    photos = Photos()
    learned = assembled(tmp_path, backbone, photos, snapshot(1, 0))
    before = np.array(learned.features(1)[0])
    for shard in tmp_path.rglob("*.npy"):
        shard.unlink()
    assert learned.features(1)[0] == pytest.approx(before, abs=1e-2)


def test_unlabelled_photos_make_way_where_the_store_is_small(tmp_path, backbone):
    tokens, pooled = assembled(tmp_path / "one", backbone, Photos(), snapshot(1)).features(0)
    budget = int(4.5 * (tokens.nbytes + pooled.nbytes))
    frozen = snapshot(-1, 1, -1, 0, -1)
    learned = assembled(tmp_path / "two", backbone, Photos(), frozen, budget=budget)
    assert learned.keys == tuple(str(UUID(int=n)) for n in (0, 1, 3))


def test_tokens_of_tiles_are_kept_apart(tmp_path, backbone):
    """The same photos at the same resolution, whole and then as an overview and 2 x 2 tiles."""
    frozen, photos = snapshot(1, 0), Photos()
    whole = assembled(tmp_path, backbone, photos, frozen).features(0)[0]
    store = FeatureStore(tmp_path, 2**24)
    tiled = dataclasses.replace(CONFIG, tiles=(2, 2))
    tokens = with_tokens(
        frozen, backbone, tiled, photos, store, before_batch=lambda share: None
    ).features(0)[0]
    assert tokens.shape == (5 * whole.shape[0], whole.shape[1])

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
from worker.learning.dataset import TrainingSet
from worker.learning.plan import Mode, Precision, TrainingConfig

SIDE = 32
VIEWS = 2
CONFIG = TrainingConfig(
    mode=Mode.FROZEN,
    resolution=SIDE,
    tiles=(1, 1),
    precision=Precision.FP32,
    strong_views=VIEWS,
)


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


def assembled(folder, backbone, photos, frozen, *, budget=2**24, config=CONFIG):
    store = FeatureStore(folder, budget)
    return with_tokens(frozen, backbone, config, photos, store, before_batch=lambda share: None)


def tokens(learned: TrainingSet, index: int, view: int) -> np.ndarray:
    assert learned.features is not None
    return learned.features(np.array([index]), np.array([view]))[0][0]


def test_strong_views_differ_and_follow_from_seed_and_photo_alone(tmp_path, backbone):
    alone = assembled(tmp_path / "one", backbone, Photos(), snapshot(1, 0))
    beside = assembled(tmp_path / "two", backbone, Photos(), snapshot(0, 1, -1))
    for view in range(1 + VIEWS):
        assert tokens(alone, 1, view) == pytest.approx(tokens(beside, 1, view), abs=1e-2)
    assert not np.allclose(tokens(alone, 1, 1), tokens(alone, 1, 2), atol=1e-1)
    other = dataclasses.replace(CONFIG, seed=1)
    drawn_anew = assembled(tmp_path / "one", backbone, Photos(), snapshot(1, 0), config=other)
    assert np.array_equal(tokens(alone, 1, 0), tokens(drawn_anew, 1, 0))
    assert not np.allclose(tokens(alone, 1, 1), tokens(drawn_anew, 1, 1), atol=1e-1)


def test_each_photo_is_encoded_once_also_by_the_next_training(tmp_path, backbone):
    frozen, photos = snapshot(1, 0, -1), Photos()
    first = assembled(tmp_path, backbone, photos, frozen)
    read = len(photos.read)
    again = assembled(tmp_path, backbone, photos, frozen)
    assert len(photos.read) == read
    for index in range(3):
        for view in range(1 + VIEWS):
            one, other = (tokens(learned, index, view) for learned in (first, again))
            assert np.array_equal(one, other)
    assert first.fingerprint() == again.fingerprint()


def test_what_was_evicted_is_computed_again(tmp_path, backbone):
    photos = Photos()
    learned = assembled(tmp_path, backbone, photos, snapshot(1, 0))
    before = [tokens(learned, 1, view) for view in range(1 + VIEWS)]
    for shard in tmp_path.rglob("*.npy"):
        shard.unlink()
    for view, values in enumerate(before):
        assert tokens(learned, 1, view) == pytest.approx(values, abs=1e-2)


def test_unlabelled_photos_make_way_where_the_store_is_small(tmp_path, backbone):
    one = assembled(tmp_path / "one", backbone, Photos(), snapshot(1))
    stored = sum(path.stat().st_size for path in (tmp_path / "one").rglob("*.npy"))
    assert one.features.strong == VIEWS
    budget = int(4.5 * stored)
    frozen = snapshot(-1, 1, -1, 0, -1)
    learned = assembled(tmp_path / "two", backbone, Photos(), frozen, budget=budget)
    assert learned.keys == tuple(str(UUID(int=n)) for n in (0, 1, 3))


def test_tokens_of_tiles_are_kept_apart(tmp_path, backbone):
    """The same photos at the same resolution, whole and then as an overview and 2 x 2 tiles."""
    frozen, photos = snapshot(1, 0), Photos()
    whole = tokens(assembled(tmp_path, backbone, photos, frozen), 0, 0)
    store = FeatureStore(tmp_path, 2**24)
    tiled = dataclasses.replace(CONFIG, tiles=(2, 2))
    learned = with_tokens(frozen, backbone, tiled, photos, store, before_batch=lambda share: None)
    assert tokens(learned, 0, 0).shape == (5 * whole.shape[0], whole.shape[1])

"""What is unlike every labelled photo is novel; what is like one is not."""

import numpy as np
import pytest

from worker.learning.novelty import MOST_REFERENCES, Novelty, draw_references, nearest_distances


def unit(rng: np.random.Generator, count: int, centre: np.ndarray) -> np.ndarray:
    """`count` unit vectors around a direction."""
    vectors = centre + 0.05 * rng.normal(size=(count, len(centre)))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def known(rng):
    return unit(rng, 200, np.eye(32)[0])


def test_another_kind_is_novel_and_the_same_kind_is_not(rng, known):
    novelty = Novelty.fit(known)
    alike, unlike = unit(rng, 200, np.eye(32)[0]), unit(rng, 50, np.eye(32)[1])
    assert novelty(unlike).min() > max(novelty(alike).max(), 0.5)
    assert 0.01 < (novelty(alike) > 0.5).mean() < 0.15, "the outermost twentieth is above one half"
    assert novelty(alike).min() > 0
    assert novelty(unlike).max() < 1


def test_a_labelled_photo_is_not_novel(known):
    assert Novelty.fit(known)(known).max() < 0.02


def test_one_photo_many_times_leaves_an_order(known):
    novelty = Novelty.fit(np.repeat(known[:1], 5, axis=0))
    assert novelty(known[:1])[0] < novelty(known[1:2])[0] < 1


def test_distances_are_those_to_the_nearest(known, rng):
    seen = unit(rng, 1_500, np.eye(32)[2])
    expected = np.linalg.norm(seen[:, None] - known[None], axis=2).min(axis=1)
    assert nearest_distances(seen, known) == pytest.approx(expected, abs=1e-4)


def test_it_is_read_back_as_it_was_written(known, tmp_path):
    novelty = Novelty.fit(known)
    novelty.save(tmp_path / "novelty.safetensors")
    read = Novelty.load(tmp_path / "novelty.safetensors")
    assert (read(known[::-1]) == novelty(known[::-1])).all()


def test_one_photo_is_nothing_to_measure_by(known):
    with pytest.raises(ValueError, match="two labelled photos"):
        Novelty.fit(known[:1])


def test_references_are_few_and_drawn_by_seed():
    assert draw_references(7, seed=0).tolist() == list(range(7))
    drawn = draw_references(50_000, seed=1)
    assert len(set(drawn.tolist())) == MOST_REFERENCES
    assert (drawn == draw_references(50_000, seed=1)).all()
    assert (drawn != draw_references(50_000, seed=2)).any()

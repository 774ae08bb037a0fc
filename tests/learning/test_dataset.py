"""Photos are decoded once, and draws follow from the seed alone."""

import numpy as np
import pytest

from tests.learning.marks import SIDE, marks
from worker.learning.dataset import Split, TrainingSet, fit_photo
from worker.learning.draws import derive, drawn
from worker.learning.inputs import decode_photos


def test_a_training_photo_without_labels_is_unlabeled():
    dataset = marks(n_labeled=3, n_unlabeled=4, n_validation=2)
    assert dataset.rows(Split.TRAIN).tolist() == [0, 1, 2]
    assert dataset.rows(Split.UNLABELED).tolist() == [3, 4, 5, 6]
    assert dataset.rows(Split.VALIDATION).tolist() == [7, 8]


def test_lengths_must_agree_and_photos_be_there():
    with pytest.raises(ValueError, match="one length"):
        TrainingSet(("a",), np.zeros((2, 1), dtype=np.int8), (Split.TRAIN,), photos=np.zeros)
    with pytest.raises(ValueError, match="photos or features"):
        TrainingSet(("a",), np.zeros((1, 1), dtype=np.int8), (Split.TRAIN,))


def test_grey_photos_are_kept_in_one_channel(tmp_path):
    dataset, seen = marks(5), []
    path = tmp_path / "photos.npy"
    pixels = decode_photos(dataset.photos, 5, (SIDE, SIDE), path, on_photo=seen.append)
    assert pixels.shape == (5, 1, SIDE, SIDE)
    assert (pixels[3, 0] == dataset.photos(3)).all()
    again = decode_photos(dataset.photos, 5, (SIDE, SIDE), path, on_photo=seen.append)
    assert (again == pixels).all()
    assert seen == [0, 1, 2, 3, 4]


def test_colour_photos_keep_three_channels(tmp_path):
    photo = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    path, size = tmp_path / "photos.npy", (16, 24)
    pixels = decode_photos(lambda _: photo, 2, size, path, on_photo=lambda _: None)
    assert pixels.shape == (2, 3, 16, 24)
    assert (pixels[0].transpose(1, 2, 0) == fit_photo(photo, size)).all()


def test_every_photo_comes_equally_often():
    rows = np.arange(10, 17)
    stream = np.concatenate([drawn(rows, step * 3, 3, seed=1) for step in range(7)])
    assert sorted(stream.tolist()) == sorted(rows.tolist() * 3)


def test_a_batch_may_be_larger_than_the_set():
    assert sorted(drawn(np.array([4]), 5, 3, seed=0).tolist()) == [4, 4, 4]


def test_draws_depend_on_seed_and_purpose():
    assert derive(0, "a", 1) == derive(0, "a", 1)
    assert len({derive(0, "a", 1), derive(0, "a", 2), derive(0, "b", 1), derive(1, "a", 1)}) == 4


def test_the_fingerprint_sees_every_label():
    one, other = marks(4), marks(4)
    other.labels[2, 1] = -1
    assert one.fingerprint() == marks(4).fingerprint() != other.fingerprint()

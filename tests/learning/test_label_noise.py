"""Planted mistakes are found by scores that did not learn from them."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit

from tests.learning.marks import QUICK, SPECS, backbone, marks
from worker.learning.label_noise import doubtful_cells, noise_rates, ranked
from worker.learning.plan import Mode
from worker.learning.trainer import train


def planted(share: float, *, sharpness: float = 8.0, seed: int = 0):
    """Honest probabilities (N, 2), labels of which a share is flipped, and which those are."""
    rng = np.random.default_rng(seed)
    probabilities = expit(rng.normal(-1, sharpness, (3000, 2)))
    right = rng.random(probabilities.shape) < probabilities
    flipped = rng.random(right.shape) < share
    return probabilities, (right ^ flipped).astype(np.int8), flipped


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_planted_mistakes_are_found(share):
    probabilities, labels, flipped = planted(share)
    doubted = doubtful_cells(probabilities, labels)
    assert flipped[doubted].mean() > 0.6  # by chance, the share
    assert doubted[flipped].mean() > 0.6
    for rate in noise_rates(doubted, labels):
        assert rate == pytest.approx(share, abs=0.015)


def test_the_least_probable_come_first():
    probabilities, labels, flipped = planted(0.05)
    doubted = doubtful_cells(probabilities, labels)
    photos = [f"photo-{row}" for row in range(len(labels))]
    found = ranked(doubted, probabilities, labels, photos, ["scratch", "dent"])
    assert [one.probability for one in found] == sorted(one.probability for one in found)
    assert all(one.probability < 0.5 for one in found)
    columns = {"scratch": 0, "dent": 1}
    wrong = [flipped[photos.index(one.photo), columns[one.label]] for one in found]
    assert np.mean(wrong[:50]) > np.mean(wrong[-50:])
    assert np.mean(wrong[:50]) > 0.9


def test_honest_labels_are_rarely_doubted():
    probabilities, labels, _ = planted(0.0)
    assert doubtful_cells(probabilities, labels).mean() < 0.02


def test_unknown_labels_and_labels_without_evidence_are_not_doubted():
    probabilities, labels, _ = planted(0.1)
    labels[:, 0] = -1
    labels[:9, 0] = 1
    labels[9:400, 0] = 0
    labels[::2, 1] = -1
    doubted = doubtful_cells(probabilities, labels)
    assert not doubted[:, 0].any()
    assert not doubted[::2].any()
    assert doubted[1::2, 1].any()
    assert noise_rates(doubted, labels)[0] is None


def test_a_training_names_the_photos_whose_labels_it_doubts(tmp_path):
    dataset = marks(64, 0, 120)
    mistaken = [70, 80, 90, 100, 110, 120]
    dataset.labels[mistaken, 0] = 1 - dataset.labels[mistaken, 0]
    config = dataclasses.replace(QUICK, mode=Mode.FROZEN, epochs=60)
    model = train(dataset, SPECS, backbone(), config, workdir=tmp_path)
    found = {one.photo for one in model.doubtful if one.label == SPECS[0].key}
    planted = {f"photo-{row}" for row in mistaken}
    assert len(found & planted) >= 3
    assert len(found & planted) / len(found) > 3 * len(mistaken) / 120
    share = model.card.metrics["labels"][SPECS[0].key]["doubtful_share"]
    assert share == len(found) / 120

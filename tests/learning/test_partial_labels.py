"""Photos of which people know some labels and not others."""

import dataclasses

import numpy as np
import pytest

from tests.learning.marks import QUICK, SPECS, backbone, marks, photo, truth
from worker.learning.dataset import Split, TrainingSet
from worker.learning.evidence import Evidence
from worker.learning.learner import Answers
from worker.learning.metrics import mean_average_precision
from worker.learning.plan import Mode
from worker.learning.pseudo_labeling import Round, calibrated_class_aware
from worker.learning.trainer import train

CONFIG = dataclasses.replace(QUICK, mode=Mode.FROZEN, epochs=40)


def half_known(dataset: TrainingSet) -> TrainingSet:
    """Each label of a training photo is known with probability one half."""
    labels = dataset.labels.copy()
    rows = dataset.rows(Split.TRAIN)
    hidden = np.random.default_rng(5).random((len(rows), labels.shape[1])) < 0.5
    labels[rows] = np.where(hidden, -1, labels[rows])
    return dataclasses.replace(dataset, labels=labels)


@pytest.mark.slow
def test_as_many_cells_teach_as_much_spread_over_twice_the_photos(tmp_path):
    real = truth(120, seed=9)
    photos = [photo(labels, 1000 + index) for index, labels in enumerate(real)]

    def learned(name: str, dataset: TrainingSet) -> float:
        model = train(dataset, SPECS, backbone(), CONFIG, workdir=tmp_path / name)
        return mean_average_precision(model.predictor().predict(photos).probabilities, real)

    whole = learned("whole", marks(64, 8, 52))
    half = learned("half", half_known(marks(128, 8, 52)))
    assert half > 0.5  # by chance 0.4
    assert half > whole - 0.05


def test_a_present_label_makes_its_group_active_whatever_is_known_of_the_others():
    membership = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=float)
    values = np.array([[1, -1, 0, -1], [0, 0, -1, -1]], dtype=np.int8)
    targets = Answers.human(values).targets(membership)
    assert targets.contexts[:, 0].tolist() == [1, 0]
    # Group 1 of the first photo: one label is absent, the other may be present.
    assert targets.context_weights.tolist() == [[1, 0], [1, 0]]


def test_groups_of_pseudo_labels_are_as_sure_as_the_answer_that_decides():
    membership = np.ones((3, 1))
    values = np.array([[1, 1, 0], [0, 0, 0]], dtype=np.int8)
    weights = np.array([[0.6, 0.9, 0.99], [0.9, 0.8, 1.0]])
    targets = Answers(values, weights).targets(membership)
    assert targets.context_weights[:, 0].tolist() == pytest.approx([0.9, 0.9])


def test_a_label_nobody_marked_present_gets_no_pseudo_labels():
    rng = np.random.default_rng(0)
    labels = np.stack([np.arange(20) % 2, np.zeros(20), np.full(20, -1)], axis=1).astype(np.int8)
    held_out = Evidence(rng.normal(size=(20, 3)), labels)
    made = calibrated_class_aware(
        Round(
            logits=rng.normal(size=(50, 3)),
            labels=labels,
            config=CONFIG,
            labeled=lambda: held_out,
            held_out=lambda: held_out,
            committee=lambda: np.empty((0, 50, 3)),
            spread=lambda: np.zeros((50, 3)),
        )
    )
    assert (made.value[:, 0] >= 0).mean() > 0.8
    assert (made.value[:, 1:] == -1).all()

"""A student answers as its teacher does, on fewer pixels, and goes on where it was stopped."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.learning.marks import QUICK, SPECS, backbone, marks, photo, truth
from tests.learning.test_trainer import StopAfter
from worker.learning.aligner import Aligner, Classifier
from worker.learning.backbone import untrained
from worker.learning.distillation import distil
from worker.learning.metrics import mean_average_precision
from worker.learning.plan import Mode
from worker.learning.predictor import Predictor
from worker.learning.progress import Stopped
from worker.learning.trainer import train

SMALL = dataclasses.replace(QUICK, resolution=32, epochs=6, threads=1)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Predictor:
    workdir = tmp_path_factory.mktemp("training")
    config = dataclasses.replace(QUICK, epochs=25, rounds=0, threads=1)
    return train(marks(64, 0, 52), SPECS, backbone(), config, workdir=workdir).predictor()


def unlabelled(count: int, n_validation: int = 0):
    """Photos that nobody labelled, but for those of validation."""
    return marks(0, count, n_validation)


def test_a_student_learns_from_photos_without_labels(teacher, tmp_path):
    config = dataclasses.replace(SMALL, epochs=40)
    seen = []
    model = distil(
        teacher,
        unlabelled(120),
        backbone(seed=1),
        config,
        workdir=tmp_path,
        on_progress=seen.append,
    )
    real = truth(150, seed=9)
    photos = [photo(labels, 1000 + index) for index, labels in enumerate(real)]
    assert mean_average_precision(model.predictor().predict(photos).probabilities, real) > 0.55
    assert seen[-1].fraction == 1.0
    assert model.card.resolution == 32
    assert model.card.views == 1
    assert model.card.config["distilled_from"]["resolution"] == teacher.card.resolution
    assert model.card.metrics["source"] == "not measured"
    assert model.card.calibration == teacher.card.calibration


def test_a_student_is_saved_and_loaded_like_any_model(teacher, tmp_path):
    model = distil(teacher, unlabelled(20), backbone(), SMALL, workdir=tmp_path / "work")
    model.save(tmp_path / "model")
    photos = [photo(np.array([1, 0, 1]), index) for index in range(3)]
    loaded = Predictor.load(tmp_path / "model").predict(photos).probabilities
    # Not to the bit: a product of matrices may depend on where in memory they lie.
    same = model.predictor().predict(photos).probabilities
    assert loaded == pytest.approx(same, abs=1e-6)


def test_validation_labels_measure_the_student(teacher, tmp_path):
    model = distil(teacher, unlabelled(20, 30), backbone(), SMALL, workdir=tmp_path)
    assert model.card.metrics["source"] == "validation"
    assert model.card.metrics["images"] == 30
    assert model.card.counts == {"taught": 20}


def test_another_tower_teaches_kizu_small(teacher, tmp_path):
    """The way from a large CLIP, here a vision transformer with random weights."""
    tower = untrained("ViT-S-32-alt")
    head = Aligner(torch.randn(len(SPECS), tower.embed_dim), teacher.card.contexts.count)
    card = dataclasses.replace(
        teacher.card, backbone="ViT-S-32-alt", resolution=tower.image_size, mode=Mode.FROZEN
    )
    large = Predictor(Classifier(tower, head), card)
    model = distil(large, unlabelled(8), backbone(), SMALL, workdir=tmp_path)
    assert (model.card.backbone, model.card.mode) == ("kizu-small", Mode.TUNE)
    assert model.card.config["distilled_from"]["backbone"] == "ViT-S-32-alt"


def test_the_backbone_that_was_given_is_left_alone(teacher, tmp_path):
    given, before = backbone(), backbone().state_dict()
    distil(teacher, unlabelled(20), given, SMALL, workdir=tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in given.state_dict().items())


def test_a_stopped_distillation_goes_on_to_the_same_weights(teacher, tmp_path):
    dataset = unlabelled(30)
    straight = distil(teacher, dataset, backbone(), SMALL, workdir=tmp_path / "straight")
    stopped = 0
    while stopped < 40:
        try:
            resumed = distil(
                teacher,
                dataset,
                backbone(),
                SMALL,
                workdir=tmp_path / "stopped",
                should_stop=StopAfter(35),
            )
        except Stopped:
            stopped += 1
            continue
        break
    assert 1 <= stopped < 40
    expected = straight.classifier.state_dict()
    for name, tensor in resumed.classifier.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_without_photos_there_is_nothing_to_learn(teacher, tmp_path):
    with pytest.raises(ValueError, match="photos"):
        distil(teacher, marks(0, 0, 10), backbone(), SMALL, workdir=tmp_path)

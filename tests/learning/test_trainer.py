"""The training loop: it learns, it resumes to the last bit, and odd label sets do not break it."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from tests.learning.marks import QUICK, SIDE, SPECS, backbone, marks, photo, truth
from worker.learning.dataset import FeaturesByPhoto, NotEnoughLabels, Split
from worker.learning.metrics import mean_average_precision
from worker.learning.plan import Mode
from worker.learning.predictor import TrainedModel
from worker.learning.progress import Stage, Stopped
from worker.learning.trainer import train


def weights(model: TrainedModel) -> dict[str, torch.Tensor]:
    return model.classifier.state_dict()


def same(one: TrainedModel, other: TrainedModel) -> bool:
    first, second = weights(one), weights(other)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_and_says_how_far_it_is(tmp_path):
    config = dataclasses.replace(QUICK, epochs=25)
    seen = []
    model = train(
        marks(64, 32, 52), SPECS, backbone(), config, workdir=tmp_path, on_progress=seen.append
    )
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {Stage.PREPARE, Stage.WARM_UP, Stage.PSEUDO_LABELS, Stage.EVALUATE} <= {
        progress.stage for progress in seen
    }
    real = truth(150, seed=9)
    photos = [photo(labels, 1000 + index) for index, labels in enumerate(real)]
    probabilities = model.predictor().predict(photos).probabilities
    assert mean_average_precision(probabilities, real) > 0.6  # by chance 0.4
    assert model.card.metrics["source"] == "validation"


class StopAfter:
    """Asks a training to stop at its n-th question."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("mode", [Mode.TUNE, Mode.FROZEN])
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, mode):
    dataset, config = marks(12, 16), dataclasses.replace(QUICK, mode=mode)
    straight = train(dataset, SPECS, backbone(), config, workdir=tmp_path / "straight")
    work = tmp_path / "stopped"
    work.mkdir()
    shutil.copy(tmp_path / "straight" / f"photos-{SIDE}x{SIDE}.npy", work)
    for stops in range(40):  # noqa: B007
        try:
            resumed = train(
                dataset, SPECS, backbone(), config, workdir=work, should_stop=StopAfter(12)
            )
            break
        except Stopped:
            continue
    assert stops >= 2
    assert same(straight, resumed)
    assert straight.card == resumed.card


def test_another_seed_gives_other_weights(tmp_path):
    dataset = marks(12)
    one = train(dataset, SPECS, backbone(), QUICK, workdir=tmp_path / "one")
    other = dataclasses.replace(QUICK, seed=1)
    assert not same(one, train(dataset, SPECS, backbone(), other, workdir=tmp_path / "other"))


def test_a_checkpoint_of_other_labels_is_not_used(tmp_path):
    train(marks(12), SPECS, backbone(), QUICK, workdir=tmp_path / "both")
    changed = marks(13)
    fresh = train(changed, SPECS, backbone(), QUICK, workdir=tmp_path / "fresh")
    (tmp_path / "both" / f"photos-{SIDE}x{SIDE}.npy").unlink()
    assert same(fresh, train(changed, SPECS, backbone(), QUICK, workdir=tmp_path / "both"))


def test_permuting_labels_permutes_predictions(tmp_path):
    dataset, order = marks(12), [2, 0, 1]
    turned = dataclasses.replace(dataset, labels=dataset.labels[:, order])
    config = dataclasses.replace(QUICK, mode=Mode.FROZEN, epochs=10)
    photos = [dataset.photos(index) for index in range(12)]
    one = train(dataset, SPECS, backbone(), config, workdir=tmp_path / "one")
    other = train(turned, [SPECS[k] for k in order], backbone(), config, workdir=tmp_path / "other")
    first, second = (model.predictor().predict(photos).probabilities for model in (one, other))
    assert second == pytest.approx(first[:, order], abs=1e-3)


def test_no_labels_is_said_in_a_sentence(tmp_path):
    with pytest.raises(NotEnoughLabels, match="Annotate at least one photo"):
        train(marks(0, 5), SPECS, backbone(), QUICK, workdir=tmp_path)


LABEL_SETS = {
    "one image": np.array([[1, 0, -1]]),
    "only positives": np.ones((6, 3)),
    "only negatives": np.zeros((6, 3)),
    "a label nobody used": np.array([[1, 0, 0], [0, 1, 0]] * 4),
    "a label nobody judged": np.array([[1, 0, -1], [0, 1, -1]] * 4),
}


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=LABEL_SETS.keys())
def test_odd_label_sets_train(tmp_path, labels):
    dataset = marks(len(labels), 4)
    dataset.labels[: len(labels)] = labels
    model = train(dataset, SPECS, backbone(), QUICK, workdir=tmp_path)
    prediction = model.predictor().predict([dataset.photos(0), dataset.photos(1)])
    assert np.isfinite(prediction.probabilities).all()
    card = model.card.to_json()
    unused = [k for k in range(3) if not (labels[:, k] == 1).any()]
    for k in unused:
        figures = card["metrics"]["labels"].get(SPECS[k].key, {"evidence": "not enough evidence"})
        assert figures["evidence"] == "not enough evidence"
        assert (prediction.pseudo_labels(model.card.thresholds).value[:, k] == -1).all()


def test_one_label_trains(tmp_path):
    dataset = marks(6, 4)
    dataset = dataclasses.replace(dataset, labels=dataset.labels[:, :1])
    model = train(dataset, SPECS[:1], backbone(), QUICK, workdir=tmp_path)
    assert model.predictor().predict([dataset.photos(0)]).probabilities.shape == (1, 1)


def test_a_budget_shortens_the_plan(tmp_path):
    config = dataclasses.replace(QUICK, epochs=1000, time_budget_seconds=1.0)
    model = train(marks(16), SPECS, backbone(), config, workdir=tmp_path)
    assert model.card.config["plan"]["warm_up_steps"] < 1000


def test_a_frozen_training_takes_features_alone(tmp_path):
    draw = np.random.default_rng(0)
    model = backbone()
    dim = model.embed_dim
    tokens = draw.normal(size=(20, 6, dim)).astype(np.float16)
    dataset = dataclasses.replace(
        marks(20),
        photos=None,
        features=FeaturesByPhoto(lambda row, view: (tokens[row], tokens[row].mean(axis=0))),
    )
    assert len(dataset.rows(Split.TRAIN)) == 20
    config = dataclasses.replace(QUICK, mode=Mode.FROZEN)
    trained = train(dataset, SPECS, model, config, workdir=tmp_path)
    assert trained.card.mode is Mode.FROZEN

"""Labels that are added later: they are learned, and nobody else's score moves by a bit."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.learning.marks import QUICK, SPECS, backbone, marks, photo, truth
from tests.learning.test_trainer import StopAfter
from worker.learning.card import ModelCard
from worker.learning.dataset import TrainingSet
from worker.learning.growing import grow
from worker.learning.metrics import average_precision
from worker.learning.plan import Mode
from worker.learning.predictor import CARD, Predictor, TrainedModel
from worker.learning.progress import Stopped
from worker.learning.trainer import train

# The new label is the first of the marks, the easiest: the model knows the other two.
ORDER = [1, 2, 0]
LABELS = [SPECS[k] for k in ORDER]
LONGER = dataclasses.replace(QUICK, epochs=40)
PHOTOS = [photo(labels, 1000 + index) for index, labels in enumerate(truth(40, seed=9))]


def ordered(dataset: TrainingSet) -> TrainingSet:
    return dataclasses.replace(dataset, labels=dataset.labels[:, ORDER])


def without_new(dataset: TrainingSet) -> TrainingSet:
    return dataclasses.replace(dataset, labels=dataset.labels[:, :2])


@pytest.fixture(scope="module", params=[Mode.TUNE, Mode.FROZEN])
def live(request, tmp_path_factory) -> Path:
    """A saved model of the last two labels."""
    folder = tmp_path_factory.mktemp(request.param)
    config = dataclasses.replace(QUICK, mode=request.param)
    dataset = without_new(ordered(marks(24, 8, 52)))
    train(dataset, LABELS[:2], backbone(), config, workdir=folder / "work").save(folder / "model")
    return folder / "model"


def loaded(folder: Path) -> Predictor:
    return Predictor.load(folder, backbone=backbone())


def test_the_others_stay_equal_to_the_last_bit_and_the_new_one_is_learned(live, tmp_path):
    before = loaded(live).predict(PHOTOS)
    grown = grow(
        loaded(live),
        ordered(marks(64, 8, 52)),
        LABELS,
        LONGER,
        origin="version 1",
        workdir=tmp_path,
    )
    grown.save(tmp_path / "model")
    after = loaded(tmp_path / "model").predict(PHOTOS)
    for seen in (grown.predictor().predict(PHOTOS), after):
        assert np.array_equal(seen.probabilities[:, :2], before.probabilities)
        assert np.array_equal(seen.context, before.context)
    real = truth(40, seed=9)[:, ORDER]
    assert average_precision(after.probabilities[:, 2], real[:, 2]) > 0.6  # by chance 0.4


def test_a_model_grows_more_than_once(live, tmp_path):
    dataset = ordered(marks(24, 8, 52))
    before = loaded(live).predict(PHOTOS).probabilities
    first = grow(loaded(live), dataset, LABELS, QUICK, origin="version 1", workdir=tmp_path / "1")
    more = dataclasses.replace(dataset, labels=np.c_[dataset.labels, dataset.labels[:, 1]])
    again = dataclasses.replace(LABELS[1], key="line again")
    second = grow(
        first.predictor(), more, [*LABELS, again], QUICK, origin="version 2", workdir=tmp_path / "2"
    )
    second.save(tmp_path / "model")
    seen = loaded(tmp_path / "model").predict(PHOTOS).probabilities
    assert np.array_equal(seen[:, :2], before)
    assert np.array_equal(seen[:, :3], first.predictor().predict(PHOTOS).probabilities)
    card = ModelCard.read(tmp_path / "model" / CARD)
    assert [(one.labels, one.origin) for one in card.grown] == [
        ((LABELS[2].key,), "version 1"),
        (("line again",), "version 2"),
    ]
    assert [label.key for label in card.labels] == [*(label.key for label in LABELS), "line again"]
    maps = loaded(tmp_path / "model").explain(PHOTOS[:2]).values
    assert maps.shape[:2] == (2, 4)


def test_a_label_nobody_annotated_is_scored_by_its_text_and_suggests_nothing(live, tmp_path):
    dataset = ordered(marks(24, 8, 52))
    dataset.labels[:, 2] = -1
    before = loaded(live).predict(PHOTOS)
    grown = grow(loaded(live), dataset, LABELS, QUICK, origin="version 1", workdir=tmp_path)
    grown.save(tmp_path / "model")
    predictor = loaded(tmp_path / "model")
    seen = predictor.predict(PHOTOS)
    assert np.array_equal(seen.probabilities[:, :2], before.probabilities)
    assert np.ptp(seen.probabilities[:, 2]) > 0
    suggested = seen.pseudo_labels(predictor.card.thresholds).value
    assert (suggested[:, 2] == -1).all()
    assert predictor.card.grown[0].metrics["images"] == 0


def test_new_labels_are_judged_by_their_own_evidence(live, tmp_path):
    dataset = ordered(marks(24, 8, 52))
    grown = grow(loaded(live), dataset, LABELS, QUICK, origin="version 1", workdir=tmp_path)
    base, card = loaded(live).card, grown.card
    assert card.calibration.curves[:2] == base.calibration.curves
    assert card.thresholds.present[:2] == base.thresholds.present
    figures = card.to_json()["metrics"]["labels"]
    assert figures[LABELS[0].key] == base.to_json()["metrics"]["labels"][LABELS[0].key]
    new = dataset.labels[:, 2] == 1
    assert figures[LABELS[2].key]["positives"] == int(new[32:].sum())
    assert card.counts["labels"][LABELS[2].key]["present"] == int(new[:24].sum())


def test_a_stopped_growth_goes_on_to_the_same_weights(live, tmp_path):
    dataset, config = ordered(marks(12, 8)), dataclasses.replace(QUICK, epochs=12)

    def run(folder: Path, **how) -> TrainedModel:
        return grow(
            loaded(live), dataset, LABELS, config, origin="version 1", workdir=folder, **how
        )

    straight = run(tmp_path / "straight")
    for stops in range(40):  # noqa: B007
        try:
            resumed = run(tmp_path / "stopped", should_stop=StopAfter(26))
            break
        except Stopped:
            continue
    assert stops >= 2
    one, other = (model.predictor().predict(PHOTOS).probabilities for model in (straight, resumed))
    assert np.array_equal(one, other)
    assert straight.card == resumed.card


@pytest.mark.parametrize("labels", [LABELS[:2], SPECS])
def test_labels_that_do_not_continue_the_models_are_refused(live, tmp_path, labels):
    dataset = ordered(marks(12))
    with pytest.raises(ValueError, match="the labels must be those of the model"):
        grow(loaded(live), dataset, labels, QUICK, origin="version 1", workdir=tmp_path)

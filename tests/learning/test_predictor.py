"""A saved model predicts what was evaluated."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.learning.marks import QUICK, SPECS, backbone, marks
from worker.learning.aligner import Aligner, Classifier, Voice, weigh
from worker.learning.contexts import ContextGroups, Criterion
from worker.learning.predictor import Predictor, TrainedModel, binary_entropy
from worker.learning.trainer import train

DATASET = marks(14, 6)
assert DATASET.photos is not None
PHOTOS = [DATASET.photos(index) for index in range(8)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> TrainedModel:
    workdir = tmp_path_factory.mktemp("training")
    return train(DATASET, SPECS, backbone(), QUICK, workdir=workdir)


def test_a_saved_model_predicts_the_same(model, tmp_path):
    before = model.predictor().predict(PHOTOS)
    model.save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model", backbone=backbone(seed=7))
    after = loaded.predict(PHOTOS)
    assert (before.probabilities == after.probabilities).all()
    assert (before.embedding == after.embedding).all()
    assert loaded.card == model.card
    assert not list((tmp_path / "model").glob("*.part"))


def test_shapes_and_ranges(model):
    seen = model.predictor().predict(PHOTOS)
    assert seen.probabilities.shape == (8, 3)
    assert seen.context.shape == (8, model.card.contexts.count)
    assert seen.uncertainty.shape == (8,)
    assert ((seen.uncertainty >= 0) & (seen.uncertainty <= 1)).all()
    assert ((seen.margin >= 0) & (seen.margin <= 0.5)).all()
    assert (seen.margin <= np.abs(seen.probabilities[:, 0] - 0.5)).all()
    assert np.linalg.norm(seen.embedding, axis=1) == pytest.approx(np.ones(8), abs=1e-4)


def test_photos_of_any_size_and_colour(model):
    wide = np.random.default_rng(0).integers(0, 255, (30, 90, 3), dtype=np.uint8)
    assert np.isfinite(model.predictor().predict([wide, PHOTOS[0]]).probabilities).all()


def test_entropy_is_one_bit_at_even_odds():
    assert binary_entropy(np.array([0.5, 0.0, 1.0])) == pytest.approx([1, 0, 0], abs=1e-9)


def test_what_groups_say_comes_back_from_the_card(model, tmp_path):
    groups = ContextGroups((0, 0, 1), ("ab", "c"), Criterion.GIVEN)
    head = Aligner(torch.randn(3, model.classifier.head.text.shape[1]), groups.count)
    trained = model.classifier
    classifier = Classifier(trained.backbone, head, bf16=trained.bf16)
    plain = TrainedModel(classifier, replace(model.card, contexts=groups, voices=head.counted()))
    own = plain.predictor().look(PHOTOS).logits
    helped = TrainedModel(classifier, replace(plain.card, group_weight=0.5))
    helped.save(tmp_path)
    loaded = Predictor.load(tmp_path, backbone=backbone(seed=7)).look(PHOTOS).logits
    expected = own + 0.5 * np.stack([own[:, 1], own[:, 0], 0 * own[:, 2]], axis=1)
    assert np.allclose(loaded, expected, atol=1e-4)


def test_what_voices_say_comes_back(model, tmp_path):
    heard = copy.deepcopy(model.classifier)
    heard.head.hear(tuple(Voice)).whole.weight.data.normal_()
    weigh(heard, np.array([0.2, 0.5, 0.3]))
    trained = TrainedModel(heard.eval(), replace(model.card, voices=heard.head.counted()))
    trained.save(tmp_path)
    loaded = Predictor.load(tmp_path, backbone=backbone(seed=7)).look(PHOTOS).logits
    assert np.allclose(loaded, trained.predictor().look(PHOTOS).logits, atol=1e-5)
    assert not np.allclose(loaded, model.predictor().look(PHOTOS).logits, atol=1e-2)


def test_predictions_are_what_was_measured_in_bfloat16_too():
    """Prediction keeps the tokens of one view for maps; evaluation hands pixels to the model."""
    model = backbone()
    head = Aligner(torch.randn(len(SPECS), model.embed_dim), 1)
    classifier = Classifier(model, head, bf16=True).eval()
    pixels = torch.rand(2, 3, 48, 48)
    with torch.inference_mode():
        features = classifier.encode(pixels)
        assert torch.equal(classifier(features).logits, classifier(pixels).logits)

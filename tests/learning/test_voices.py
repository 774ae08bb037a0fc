"""How much a voice counts follows from what held-out labels say of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.learning.marks import QUICK, SPECS, backbone, marks
from worker.learning.aligner import Aligner, Voice
from worker.learning.committee import Committee
from worker.learning.evidence import Evidence
from worker.learning.method import KIZU
from worker.learning.plan import Mode, usual_voices
from worker.learning.slopes import shared_slopes
from worker.learning.trainer import train
from worker.learning.voices import shares, voice_weights


def evidence(*quality: float, photos: int = 300, seed: int = 0) -> Evidence:
    """Two labels, and a voice of each quality: 0 is noise, the greater the clearer."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, (photos, 2)).astype(np.int8)
    noise = draw.normal(size=(photos, 2, len(quality)))
    voices = 2 * (labels[..., None] - 0.5) * np.array(quality) + noise
    return Evidence(voices.mean(axis=-1), labels, voices=voices)


def test_a_voice_that_says_nothing_is_not_heard_once_many_photos_say_so():
    assert voice_weights(evidence(2.0, 0.0)).tolist() == [1.0, 0.0]


def test_voices_that_know_as_much_share_alike():
    assert voice_weights(evidence(1.0, 1.0)) == pytest.approx([0.5, 0.5], abs=0.1)
    assert voice_weights(evidence(1.0, 1.0, 1.0)) == pytest.approx([1 / 3] * 3, abs=0.15)


def test_few_photos_leave_voices_even():
    assert voice_weights(evidence(0.6, 0.4, photos=4)) == pytest.approx([0.5, 0.5], abs=0.2)


def test_a_loud_voice_counts_no_more():
    seen = evidence(1.0, 1.0)
    loud = replace(seen, voices=seen.voices * [10.0, 1.0])
    assert shares(voice_weights(loud), loud.voices) == pytest.approx([0.5, 0.5], abs=0.1)


def test_unknown_cells_say_nothing():
    seen = evidence(2.0, 0.0)
    unknown = replace(seen, labels=np.full_like(seen.labels, -1))
    assert shares(voice_weights(unknown), seen.voices) == pytest.approx([0.5, 0.5])


def test_a_voice_that_is_silent_does_no_harm():
    seen = evidence(1.0, 1.0)
    silent = replace(seen, voices=seen.voices * [1.0, 0.0])
    assert np.isfinite(voice_weights(silent)).all()


def test_where_voices_are_not_told_apart_there_is_nothing_to_weigh():
    assert voice_weights(Evidence(np.zeros((2, 1)), np.zeros((2, 1), np.int8))) is None


def test_slopes_are_those_that_made_the_labels():
    draw = np.random.default_rng(1)
    scores = draw.normal(size=(20_000, 1, 2))
    chance = 1 / (1 + np.exp(-(scores @ [1.5, 0.5] - 1.0)))
    labels = (draw.random(chance.shape) < chance).astype(np.int8)
    assert shared_slopes(scores, labels, np.ones(2)).values == pytest.approx([1.5, 0.5], abs=0.06)


def test_a_committee_weighs_its_voices_by_what_all_members_did_not_see():
    parts = (evidence(0.0, 2.0), evidence(0.0, 2.0, seed=1))
    member = Aligner(torch.randn(2, 16), 1).hear((Voice.PLACES, Voice.WHOLE))
    weighed = Committee((member,), {1: parts, 2: parts}).weighed(1)
    assert weighed.weights.tolist() == [0.0, 1.0]
    assert member.weights.tolist() == pytest.approx(weighed.weights, abs=1e-6)
    for part, before in zip(weighed.held_out[2], parts, strict=True):
        assert part.logits == pytest.approx(before.voices @ weighed.weights)
    assert weighed.beats(Committee((), {1: parts}), 1)


@pytest.mark.parametrize("mode", [Mode.TUNE, Mode.FROZEN])
def test_a_model_hears_what_its_card_says(tmp_path, mode):
    config = replace(QUICK, mode=mode)
    model = train(marks(24, 16), SPECS, backbone(), config, workdir=tmp_path)
    assert tuple(model.card.voices) == usual_voices(mode)
    assert sum(model.card.voices.values()) == pytest.approx(1)
    assert model.classifier.head.counted() == model.card.voices
    assert tuple(model.card.voice_shares) == usual_voices(mode)
    assert sum(model.card.voice_shares.values()) == pytest.approx(1)


def test_voices_are_weighed_by_validation_where_nothing_is_cross_fitted(tmp_path):
    method = replace(KIZU, measures_confidence=False, makes_trials=False)
    data = marks(24, 8, 60)
    model = train(data, SPECS, backbone(), QUICK, workdir=tmp_path, method=method)
    assert model.card.config["plan"]["committees"] == 0
    assert 0 < model.card.voices[Voice.PLACES] < 1

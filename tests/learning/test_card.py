"""A model card is plain JSON and comes back as it was."""

import dataclasses
import json

import pytest

from worker.learning.aligner import LabelSpec, Voice
from worker.learning.augment import Orientations
from worker.learning.calibration import Calibration
from worker.learning.card import ModelCard, UnknownFormat, metrics_json
from worker.learning.contexts import ContextGroups, Criterion, Link
from worker.learning.curves import Curve, Family
from worker.learning.plan import Mode, Precision
from worker.learning.thresholds import Thresholds

CARD = ModelCard(
    labels=(LabelSpec("scratch", ("a scratch",), 2.0), LabelSpec("傷")),
    backbone="kizu-small",
    backbone_version="1",
    mode=Mode.TUNE,
    resolution=160,
    views=2,
    orientations=Orientations.ANY,
    precision=Precision.FP32,
    contexts=ContextGroups(
        (0, 0), ("scratch + 傷",), Criterion.TRANSFERRED, (Link(0, 1, 0.25),), "boards/models/3"
    ),
    calibration=Calibration((Curve(), Curve(Family.PLATT, (2.0, 0.5))), (False, True)),
    thresholds=Thresholds((0.8, 2.0), (0.1, -1.0)),
    metrics={"map": {"value": 0.5}},
    promises={"scratch": [{"value": 1, "threshold": 0.9}]},
    counts={"labeled": 3},
    config={"seed": 0},
    code_version="0.1.0",
    voices={Voice.PLACES: 0.75, Voice.DECODER: 0.25},
)


def test_a_card_comes_back(tmp_path):
    CARD.write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json") == CARD


def test_what_could_not_be_computed_is_null():
    card = dataclasses.replace(CARD, metrics={"map": float("nan")})
    assert json.loads(json.dumps(card.to_json(), allow_nan=False))["metrics"]["map"] is None


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="format 99"):
        ModelCard.from_json({**CARD.to_json(), "format": 99})


def test_a_card_from_before_voices_is_read_unless_it_heard_the_whole_photo():
    before = {name: value for name, value in CARD.to_json().items() if name != "voices"}
    read = ModelCard.from_json({**before, "whole_photo": False})
    assert read.voices == {Voice.PLACES: 1.0}
    with pytest.raises(UnknownFormat, match="whole photo"):
        ModelCard.from_json({**before, "whole_photo": True})


def test_without_evidence_a_card_says_so():
    figures = metrics_json(None, ["scratch"], "validation", [False])
    assert figures["map"] is None
    assert figures["images"] == 0

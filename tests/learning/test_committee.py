"""Part models: what they settle, and that each photo is asked of them once."""

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import ANY

import numpy as np
import pytest
from torch import nn

from tests.learning.marks import QUICK, SPECS, backbone, marks
from worker.learning.baselines import METHODS
from worker.learning.committee import Committee, Votes, settled, trials
from worker.learning.evidence import Evidence
from worker.learning.method import KIZU
from worker.learning.pairs import USUAL_WEIGHT
from worker.learning.part_models import PartModels
from worker.learning.plan import TrainingConfig, make_plan
from worker.learning.processes import Processes
from worker.learning.trainer import train

OPEN = replace(QUICK, lambda_pairs=None, pseudo_labels=None)
LABELS = np.random.default_rng(0).integers(0, 2, (60, 2)).astype(np.int8)


def committee(noise, *, loud=1.0, seed=1):
    """Scores of two parts: the truth, and as much noise; `loud` times as far apart."""
    draw = np.random.default_rng(seed)
    scores = loud * (4.0 * LABELS - 2 + noise * draw.normal(size=LABELS.shape))
    parts = zip(np.split(scores, 2), np.split(LABELS, 2), strict=True)
    return Committee((), {1: tuple(Evidence(*part) for part in parts)})


@pytest.mark.parametrize(
    ("own", "other", "better"),
    [
        (committee(1.0), committee(4.0), True),
        (committee(4.0), committee(1.0), False),
        (committee(2.0), committee(2.0), False),
        (committee(2.0, loud=5.0), committee(2.0), False),
        (committee(2.0), committee(2.0, loud=5.0), False),
    ],
    ids=["better", "worse", "equal", "louder", "quieter"],
)
def test_a_committee_is_better_where_it_is_by_more_than_its_error(own, other, better):
    assert own.beats(other, 1) is better


def test_chance_alone_seldom_counts_as_better():
    """One standard error is passed by one in six of those that are as good."""
    wins = sum(
        committee(3.0, seed=seed).beats(committee(3.0, seed=seed + 100), 1) for seed in range(60)
    )
    assert wins <= 18


def test_a_part_without_positives_settles_nothing():
    empty = Evidence(np.zeros((2, 1)), np.zeros((2, 1), np.int8))
    one, other = (Committee((), {1: (empty,)}) for _ in range(2))
    assert not one.beats(other, 1)


def test_members_see_a_photo_once():
    asked = []

    def score(member, rows):
        asked.append(rows.tolist())
        return np.stack([rows, -rows], axis=1).astype(float)

    votes = Votes([nn.Identity(), nn.Identity()], score, (10, 2))
    assert votes(np.array([7, 3]))[0].tolist() == [[7, -7], [3, -3]]
    assert votes(np.array([3, 4])).shape == (2, 2, 2)
    assert asked == [[7, 3], [7, 3], [4], [4]]


def test_nobody_votes_where_there_is_no_committee():
    assert Votes([], lambda *_: np.empty(0), (10, 2))(np.array([1, 2])).shape == (0, 2, 2)


def test_only_what_is_open_is_tried():
    assert trials(OPEN) == [("paired", {"lambda_pairs": USUAL_WEIGHT})]
    assert settled(OPEN).lambda_pairs == 0.0
    given = replace(OPEN, lambda_pairs=0.2)
    assert trials(given) == []
    assert settled(given).lambda_pairs == 0.2


def test_only_kizu_leaves_open_what_is_not_given():
    given = replace(OPEN, lambda_pairs=0.2)
    assert trials(KIZU.configured(OPEN)) != []
    for name, method in METHODS.items():
        if not method.makes_trials:
            assert trials(method.configured(OPEN)) == [], name
            assert method.configured(given).lambda_pairs == 0.2


def test_held_out_labels_settle_whether_photos_are_paired(tmp_path):
    model = train(marks(24, 16), SPECS, backbone(), OPEN, workdir=tmp_path)
    assert model.card.config["plan"]["committees"] == 2
    assert model.card.config["lambda_pairs"] in (0.0, USUAL_WEIGHT)
    files = {file.stem for file in tmp_path.glob("*.safetensors")}
    names = {f"{name}fold-{part}" for name in ("", "paired-") for part in (0, 1)}
    rounds = {f"{name}-{part}" for name in ("taught", "untaught") for part in (0, 1)}
    assert files == {*names, *rounds, "main"}


@pytest.mark.parametrize("better", ["taught", "untaught"])
def test_pseudo_labels_stay_out_where_part_models_do_better_without(tmp_path, better):
    """Photos of two kinds; the part models that are not `better` rank them the wrong way round."""
    tried, told = [], []

    def fit(name, rows, plan, config):
        tried.append((name, plan.rounds, config.pseudo_labels))
        (tmp_path / f"{name}.safetensors").touch()
        return SimpleNamespace(teacher=nn.Identity(), name=name)

    def scored(learner, rows, views):
        is_right = learner.name.startswith(("fold", better))
        scores = rows % 2 if is_right else 1 - rows % 2
        return Evidence(scores[:, None].astype(float), (rows % 2)[:, None].astype(np.int8))

    parts = PartModels(
        np.arange(12),
        make_plan(TrainingConfig(), labeled=12, unlabeled=40, committees=3),
        8,
        tmp_path,
        Processes.here(),
        fit=fit,
        scored=scored,
        vote_by=told.append,
    )
    committee, config = parts.convene(TrainingConfig(), teaches=True)
    assert (config.pseudo_labels is False) == (better == "untaught")
    assert [committee.members, told[0].members] == [(ANY, ANY), ()]
    assert ("taught-0", 3, None) in tried
    assert ("untaught-1", 3, False) in tried
    told.clear()
    assert parts.convene(TrainingConfig(pseudo_labels=True), teaches=True)[1].pseudo_labels is True
    assert parts.convene(TrainingConfig(), teaches=False)[1].pseudo_labels is None
    assert told == []

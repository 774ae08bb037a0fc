"""Every rival trains in the one loop, and each rule does what its paper says."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from tests.learning.marks import QUICK, SPECS, backbone, marks
from worker.learning.backbone import ImageFeatures
from worker.learning.baselines import METHODS
from worker.learning.baselines.d2l import metric_adaptive, quarters
from worker.learning.baselines.dicap import dual_thresholds, positive_share
from worker.learning.baselines.dualcoop import DualPromptHead
from worker.learning.baselines.fixmatch import fixed_thresholds
from worker.learning.baselines.ml_gcn import label_graph
from worker.learning.baselines.ups import uncertainty_aware
from worker.learning.evidence import Evidence
from worker.learning.plan import Mode
from worker.learning.pseudo_labeling import Round, calibrated_class_aware
from worker.learning.trainer import train

NO_LABELS, KIZU_AND_GLOBAL = np.zeros((0, 2), np.int8), ("kizu", "kizu-global")
NOTHING_SEEN, NO_SPREAD = Evidence(np.zeros((0, 1)), np.zeros((0, 1), np.int8)), np.zeros((0, 1))


def known(
    probabilities: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    seen: Evidence = NOTHING_SEEN,
    votes: np.ndarray | None = None,
    spread: np.ndarray = NO_SPREAD,
) -> Round:
    """A round in which the teacher gave these probabilities (N, K)."""
    return Round(
        logits=logit(probabilities),
        labels=np.zeros((4, probabilities.shape[1]), np.int8) if labels is None else labels,
        config=QUICK,
        labeled=lambda: seen,
        held_out=lambda: seen,
        committee=lambda: np.empty((0, *probabilities.shape)) if votes is None else logit(votes),
        spread=lambda: spread,
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_and_predicts(tmp_path, name):
    config = dataclasses.replace(QUICK, epochs=1, mode=Mode.FROZEN)
    dataset = marks(8, 8)
    model = train(dataset, SPECS, backbone(), config, workdir=tmp_path, method=METHODS[name])
    predictions = model.predictor().predict([dataset.photos(index) for index in range(3)])
    assert predictions.probabilities.shape == (3, len(SPECS))
    assert np.isfinite(predictions.probabilities).all()


@pytest.mark.parametrize("name", ["zero-shot", "zero-shot-tokens"])
def test_zero_shot_trains_nothing(tmp_path, name):
    method, start = METHODS[name], backbone()
    model = train(marks(8, 8), SPECS, start, QUICK, workdir=tmp_path, method=method)
    trained = model.classifier.backbone.state_dict()
    assert all(torch.equal(trained[name], value) for name, value in start.state_dict().items())


def test_fixmatch_leaves_what_is_between_its_thresholds():
    chosen = fixed_thresholds(known(np.array([[0.96, 0.94], [0.06, 0.04]])))
    assert chosen.value.tolist() == [[1, -1], [-1, 0]]
    assert (chosen.confidence == 1).all()


def test_ups_refuses_what_dropout_changes():
    probabilities = np.array([[0.9, 0.9], [0.01, 0.01]])
    spread = np.array([[0.04, 0.06], [0.004, 0.006]])
    chosen = uncertainty_aware(known(probabilities, spread=spread))
    assert chosen.value.tolist() == [[1, -1], [0, -1]]


def test_metric_adaptive_thresholds_part_the_labelled_photos():
    seen = Evidence(logit(np.array([[0.2], [0.3], [0.4], [0.6]])), np.array([[0], [0], [1], [1]]))
    chosen = metric_adaptive(known(np.array([[0.25], [0.45]]), seen=seen))
    assert chosen.value.tolist() == [[0], [1]]


def test_dicap_sets_a_threshold_midway_between_the_extremes_of_each_answer():
    seen = Evidence(
        logit(np.array([[0.9], [0.5], [0.4], [0.1]])), np.array([[1], [1], [0], [0]], np.int8)
    )
    thresholds = dual_thresholds(seen)
    assert thresholds.present == pytest.approx((0.7,))
    assert thresholds.absent == pytest.approx((0.25,))


def test_dicap_weighs_by_how_often_scores_like_these_were_right():
    draw = np.random.default_rng(0)
    scores = draw.random((20_000, 1)).clip(1e-6, 1 - 1e-6)
    labels = (draw.random(scores.shape) < scores**2).astype(np.int8)  # overconfident scores
    share = positive_share(Evidence(logit(scores), labels), np.array([0.5, 0.75]))
    assert share == pytest.approx([0.25, 0.5625], abs=0.05)


def test_a_label_graph_joins_what_occurs_together():
    together = np.array([[1, 1, 0]] * 5 + [[0, 0, 1]] * 5, np.int8)
    graph = label_graph(together)
    assert graph[0, 1] > 0
    assert graph[1, 0] > 0
    assert graph[0, 2] == 0
    assert torch.isfinite(label_graph(np.zeros((3, 4), np.int8))).all()


def test_quarters_keep_their_places():
    tokens = torch.zeros(1, 16, 2)
    tokens[0, 3] = 4.0  # first row, last column
    assert quarters(tokens)[0, :, 0].tolist() == [0, 1, 0, 0]


def test_the_global_ablation_sees_the_mean_token_where_kizu_looks_closer():
    text, tokens = torch.eye(4)[:2], torch.eye(4)[None]
    features = ImageFeatures(tokens, tokens.mean(dim=1))
    seen = {name: METHODS[name].head(text, 1, NO_LABELS)(features) for name in KIZU_AND_GLOBAL}
    mean = torch.full((1, 2, 4), 0.5)
    assert torch.allclose(seen["kizu-global"].label_features, mean)
    assert (seen["kizu"].logits > seen["kizu-global"].logits).all()


def test_a_linear_probe_sees_the_pooled_feature_alone():
    head = METHODS["linear-probe"].head(torch.eye(4)[:2], 1, NO_LABELS)
    head.linear.weight.data = torch.eye(4)[:2]
    pooled = torch.tensor([[3.0, 1.0, 1.0, 1.0]])
    one, other = (head(ImageFeatures(torch.randn(1, 9, 4), pooled)).logits[0] for _ in range(2))
    assert torch.equal(one, other)
    assert one[0] > one[1]


def test_the_positive_prompt_decides_where_to_look():
    head = DualPromptHead(torch.eye(4)[:1])
    head.negative.data = torch.tensor([[-1.0, 1.0, 0.0, 0.0]])  # unlike the label's own text
    tokens = torch.eye(4)[[1, 2, 0]][None]
    found = head(ImageFeatures(tokens, tokens.mean(dim=1))).logits
    without = head(ImageFeatures(tokens[:, :2], tokens.mean(dim=1))).logits
    assert found > without


def test_kizu_weighs_pseudo_labels_by_calibrated_confidence():
    draw = np.random.default_rng(0)
    labels = (draw.random((400, 1)) < 0.5).astype(np.int8)
    wrong = draw.random(labels.shape) < 0.3
    scores = np.where((labels == 1) ^ wrong, 6.0, -6.0)  # says 99.8 %, is right in 70 %
    chosen = calibrated_class_aware(
        known(np.array([[0.998], [0.002]]), labels, seen=Evidence(scores, labels))
    )
    assert chosen.value.tolist() == [[1], [0]]
    assert chosen.confidence == pytest.approx(np.full((2, 1), 0.7), abs=0.05)


def test_part_models_can_outvote_the_teacher():
    labels = np.array([[1], [0], [1], [0]], np.int8)
    teacher, others = np.array([[0.9], [0.3]]), np.array([[[0.2], [0.6]], [[0.1], [0.6]]])
    assert calibrated_class_aware(known(teacher, labels)).value.tolist() == [[1], [0]]
    outvoted = calibrated_class_aware(known(teacher, labels, votes=others))
    assert outvoted.value.tolist() == [[0], [1]]
    mean = logit(np.array([0.9, 0.2, 0.1])).mean()
    assert outvoted.confidence[0, 0] == pytest.approx(expit(-mean))

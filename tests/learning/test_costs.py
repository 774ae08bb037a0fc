"""What a miss costs: it changes what is suggested, and no probability."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.learning.marks import QUICK, SPECS, backbone, marks
from worker.learning.aligner import Alignment
from worker.learning.backbone import ImageFeatures
from worker.learning.calibration import Calibration
from worker.learning.learner import Answers, Learner
from worker.learning.plan import Mode, Plan
from worker.learning.trainer import train


class Constant(torch.nn.Module):
    """The best of all models that see nothing: one score for each label."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.score = torch.nn.Parameter(torch.zeros(n_labels))

    def forward(self, features: ImageFeatures) -> Alignment:
        n = len(features.pooled)
        logits = self.score.expand(n, -1)
        return Alignment(logits, torch.zeros(n, 1), torch.empty(0), torch.empty(0))


def test_a_weighted_loss_learns_the_plain_odds():
    labels = np.tile(np.array([[1], [0], [0], [0], [0]], dtype=np.int8), (1, 2))
    config = dataclasses.replace(QUICK, head_lr=0.05)
    learner = Learner(Constant(2), config, Plan(0, 400, 0, 0), torch.tensor([1.0, 5.0]))
    targets = Answers.human(labels).targets(np.ones((2, 1)))
    features = ImageFeatures(torch.zeros(5, 1, 3), torch.zeros(5, 3))
    for _ in range(400):
        learner.train_step(features, targets, 5)
    probabilities = learner.teacher.score.sigmoid().numpy()
    assert probabilities == pytest.approx([0.2, 0.2], abs=0.01)


def test_labels_of_different_costs_share_one_calibration(tmp_path):
    """Two equal labels, one of them dear, with too little evidence for curves of their own."""
    dataset = marks(24, 0, 60)
    twins = dataclasses.replace(dataset, labels=dataset.labels[:, [0, 0]])
    specs = [SPECS[0], dataclasses.replace(SPECS[0], key="dear", miss_cost=8.0)]
    config = dataclasses.replace(QUICK, mode=Mode.FROZEN, epochs=30)
    model = train(twins, specs, backbone(), config, workdir=tmp_path)
    assert model.card.calibration.own == (False, False)
    photos = [dataset.photos(index) for index in range(24, 84)]
    predictor = model.predictor()
    plain, dear = predictor.predict(photos).probabilities.mean(axis=0)
    assert dear == pytest.approx(plain, abs=0.06)
    present = model.card.thresholds.present
    assert present[1] < present[0]
    assert isinstance(model.card.calibration, Calibration)

"""Losses see known labels only and keep the scale of an image."""

import pytest
import torch

from worker.learning.losses import Loss, asymmetric, elementwise, miss_weights, of_photos


@pytest.mark.parametrize("loss", list(Loss))
def test_right_answers_cost_less_than_wrong_ones(loss):
    targets = torch.tensor([[1.0, 0.0]])
    right = elementwise(loss, torch.tensor([[4.0, -4.0]]), targets)
    wrong = elementwise(loss, torch.tensor([[-4.0, 4.0]]), targets)
    assert (right < wrong).all()


def test_unknown_cells_send_no_gradient():
    logits = torch.zeros(2, 3, requires_grad=True)
    weights = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    of_photos(elementwise(Loss.BCE, logits, torch.ones(2, 3)), weights).sum().backward()
    assert logits.grad is not None
    assert ((logits.grad != 0) == (weights > 0)).all()


def test_sum_over_labels_mean_over_images():
    cells = torch.ones(4, 3)
    assert of_photos(cells, torch.ones(4, 3)).tolist() == pytest.approx([3.0] * 4)


def test_asymmetric_loss_forgets_easy_negatives():
    easy = asymmetric(torch.tensor([[-4.0]]), torch.tensor([[0.0]]))
    assert float(easy) == pytest.approx(0.0, abs=1e-6)


def test_a_costly_miss_weighs_on_positives_only():
    weights = miss_weights(torch.tensor([[1.0, 0.0]]), torch.tensor([5.0, 5.0]))
    assert weights.tolist() == [[5.0, 1.0]]

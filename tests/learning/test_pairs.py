"""A pair of photos shows what either shows; what is unknown of one stays unknown unless found."""

import torch

from worker.learning.backbone import ImageFeatures
from worker.learning.pairs import paired_features, paired_targets, partners


def test_labelled_photos_are_paired_with_labelled_ones():
    first, second, labeled = partners(4, 10)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (0, 2),
        (1, 3),
        (4, 7),
        (5, 8),
        (6, 9),
    ]
    assert labeled == 2


def test_an_odd_photo_is_left_out():
    first, second, labeled = partners(1, 4)
    assert (first.tolist(), second.tolist(), labeled) == ([1], [2], 0)


def test_a_pair_has_the_tokens_of_both():
    tokens, pooled = torch.arange(8.0).view(2, 2, 2), torch.tensor([[0.0, 2.0], [4.0, 0.0]])
    pair = paired_features(ImageFeatures(tokens, pooled), torch.tensor([0]), torch.tensor([1]))
    assert pair.tokens.flatten().tolist() == list(range(8))
    assert pair.pooled.tolist() == [[2.0, 1.0]]


def test_present_in_one_is_present_and_absent_needs_both():
    # One column each: present in one, unknown in one, absent from both.
    labels = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    weights = torch.tensor([[0.9, 0.0, 1.0], [0.5, 0.8, 0.7]])
    present, weight = paired_targets(labels, weights, torch.tensor([0]), torch.tensor([1]))
    assert present.tolist() == [[1.0, 1.0, 0.0]]
    assert torch.allclose(weight, torch.tensor([[0.9, 0.8, 0.7]]))


def test_an_unknown_answer_beside_an_absent_one_is_unknown():
    labels, weights = torch.zeros(2, 1), torch.tensor([[0.0], [1.0]])
    _, weight = paired_targets(labels, weights, torch.tensor([0]), torch.tensor([1]))
    assert weight.item() == 0

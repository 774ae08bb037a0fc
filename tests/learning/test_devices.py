"""Nothing is left on the processor when a model is elsewhere: shown on the device without data.

`meta` tensors refuse to be mixed with others as those of a GPU do, and need no GPU.
"""

import dataclasses

import numpy as np
import pytest
import torch

from tests.learning.marks import SPECS
from tests.learning.towers import SIDE, tiny
from worker.learning.adapters import Adapters, adapted
from worker.learning.aligner import Aligner
from worker.learning.augment import Augmentation, Orientations, View, augment, plain_views
from worker.learning.backbone import ImageFeatures
from worker.learning.inputs import PhotoInputs
from worker.learning.learner import Learner, Targets
from worker.learning.plan import Plan, TrainingConfig

META = torch.device("meta")
HOW = Augmentation(orientations=Orientations.ANY)


def test_mixed_devices_are_an_error_here_as_on_a_gpu():
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(3, device=META) + torch.zeros(3)


@pytest.mark.parametrize("view", View)
def test_views_are_made_where_the_model_is(view):
    stored = np.zeros((6, 1, SIDE, SIDE), dtype=np.uint8)
    inputs = PhotoInputs(stored, HOW, META)
    batch = inputs.batch(np.arange(4), view, torch.Generator().manual_seed(0))
    assert (batch.device, batch.shape) == (META, (4, 3, SIDE, SIDE))


def test_draws_do_not_depend_on_the_device():
    """The generator stands where it stands on the processor, so the next draw is the same."""
    here, there = (torch.Generator().manual_seed(3) for _ in range(2))
    pixels = torch.rand(5, 3, SIDE, SIDE)
    augment(pixels, View.STRONG, here, HOW)
    augment(pixels.to(META), View.STRONG, there, HOW)
    assert torch.equal(here.get_state(), there.get_state())


def test_an_adapted_backbone_computes_where_it_is(tmp_path):
    backbone = adapted(tiny(tmp_path), Adapters(4, 4.0)).to(META)
    views = plain_views(torch.zeros(2, 3, SIDE, SIDE, device=META), Orientations.ANY, 2)
    for view in views:
        assert backbone.encode_image(view).tokens.device == META
    assert backbone.encode_text(["a scratch"]).device == META


def test_a_step_takes_everything_to_its_model():
    """All of a step but its last act, which is to read the loss: there is none to read."""
    head = Aligner(torch.randn(len(SPECS), 16), 2).to(META)
    config = dataclasses.replace(TrainingConfig(), n_contexts=2)
    learner = Learner(head, config, Plan(0, 10, 0, 0), torch.ones(len(SPECS)))
    features = ImageFeatures(torch.randn(4, 9, 16), torch.randn(4, 16))
    ones = torch.ones(4, len(SPECS)), torch.ones(4, 2)
    targets = Targets(ones[0], ones[0], ones[1], ones[1])
    with pytest.raises(RuntimeError, match="meta tensor"):
        learner.train_step(features, targets, 2)
    assert learner.step == 1

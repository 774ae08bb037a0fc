"""Adapters: they start as the frozen backbone, get every gradient, and are all that is kept."""

import copy
import dataclasses
import shutil

import numpy as np
import pytest
import torch

from tests.learning.marks import QUICK, SPECS, backbone, marks
from tests.learning.test_trainer import StopAfter, same
from tests.learning.towers import SIDE, TINY, TINY_TIMM, tiny
from worker.learning import checkpoint
from worker.learning.adapters import (
    Adapters,
    LowRank,
    adapted,
    adapter_state,
    frozen_state,
    is_adaptable,
    is_large,
    merged,
    tunable,
)
from worker.learning.backbone import UnsupportedBackbone, untrained
from worker.learning.distillation import distil
from worker.learning.plan import Mode, Precision, Tuned, resolve
from worker.learning.predictor import WEIGHTS, Predictor
from worker.learning.progress import Stopped
from worker.learning.trainer import train

RANK = Adapters(rank=4, alpha=8.0)
LORA = dataclasses.replace(
    QUICK, mode=Mode.TUNE, tuned=Tuned.LORA, resolution=SIDE, threads=1, precision=Precision.FP32
)
PIXELS = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("tower"))


def shaken(model):
    """As if trained: the second factor of no adapter is zero any more."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, LowRank):
            module.up.data = 0.1 * torch.randn(module.up.shape, generator=generator)
    return model


def test_adapters_start_as_the_frozen_backbone_does(tower):
    one = adapted(tower, RANK)
    with torch.no_grad():
        seen, expected = one.encode_image(PIXELS), tower.encode_image(PIXELS)
    assert torch.equal(seen.tokens, expected.tokens)
    assert torch.equal(seen.pooled, expected.pooled)


def test_frozen_weights_are_shared_and_stay_as_they_are(tower):
    before = copy.deepcopy(tower.state_dict())
    one = adapted(tower, RANK)
    theirs = {parameter.data_ptr() for parameter in tower.parameters()}
    frozen = [p for p in one.parameters() if not p.requires_grad]
    assert {parameter.data_ptr() for parameter in frozen} == theirs
    optimizer = torch.optim.SGD([p for p in one.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):
        one.encode_image(PIXELS).tokens.square().sum().backward()
        optimizer.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in tower.state_dict().items())
    assert all(parameter.requires_grad for parameter in tower.parameters())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("name", "maps"), [(TINY, 2 * 4), (TINY_TIMM, 6 * 4 + 1)])
def test_gradients_of_every_adapter_are_those_of_finite_differences(
    tmp_path, name, maps, checkpointing
):
    """Packed attention weights too, which attention never calls as a layer."""
    one = tunable(tiny(tmp_path, name=name), RANK, gradient_checkpointing=checkpointing)
    one = shaken(one).double()
    pixels, generator = PIXELS.double(), torch.Generator().manual_seed(2)

    def loss() -> torch.Tensor:
        return one.encode_image(pixels).tokens.sin().sum()

    loss().backward()
    adapters = [parameter for parameter in one.parameters() if parameter.requires_grad]
    assert len(adapters) == 2 * maps
    for parameter in adapters:
        way = torch.randn(parameter.shape, dtype=torch.double, generator=generator)
        with torch.no_grad():
            parameter.add_(way, alpha=1e-6)
            above = loss()
            parameter.sub_(way, alpha=2e-6)
            below = loss()
            parameter.add_(way, alpha=1e-6)
        slope = float((parameter.grad * way).sum())
        assert slope == pytest.approx(float(above - below) / 2e-6, rel=1e-4, abs=1e-6)


def test_merging_changes_nothing_and_leaves_plain_weights(tower):
    one = shaken(adapted(tower, RANK))
    plain = merged(one)
    with torch.no_grad():
        seen, expected = plain.encode_image(PIXELS), one.encode_image(PIXELS)
        frozen = tower.encode_image(PIXELS)
    assert torch.allclose(seen.tokens, expected.tokens, atol=1e-6)
    assert not torch.allclose(seen.tokens, frozen.tokens, atol=1e-2)
    assert plain.state_dict().keys() == tower.state_dict().keys()
    assert any(isinstance(module, LowRank) for module in one.modules())


def test_auto_means_adapters_for_large_transformers_only(tower):
    dataset = marks(4)
    auto = dataclasses.replace(QUICK, mode=Mode.TUNE)
    assert resolve(auto, backbone(), dataset).tuned is Tuned.ALL
    assert resolve(auto, tower, dataset).tuned is Tuned.ALL
    assert resolve(auto, untrained("ViT-S-32-alt"), dataset).adapters == Adapters(8, 8.0)
    assert resolve(dataclasses.replace(auto, mode=Mode.FROZEN), tower, dataset).adapters is None
    convolutions = untrained("RN50")
    assert is_large(convolutions)
    assert not is_adaptable(convolutions)
    assert resolve(auto, convolutions, dataset).tuned is Tuned.ALL


def test_what_a_tower_cannot_do_is_said():
    with pytest.raises(UnsupportedBackbone, match="too few linear maps"):
        adapted(backbone(), RANK)
    with pytest.raises(UnsupportedBackbone, match="gradient checkpointing"):
        tunable(backbone(), None, gradient_checkpointing=True)


@pytest.mark.parametrize("checkpointing", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_stopped_training_of_adapters_goes_on_to_the_same_weights(tmp_path, tower, checkpointing):
    dataset = marks(12, 16)
    config = dataclasses.replace(LORA, gradient_checkpointing=checkpointing)
    straight = train(dataset, SPECS, tower, config, workdir=tmp_path / "straight")
    (tmp_path / "stopped").mkdir()
    shutil.copy(tmp_path / "straight" / f"photos-{SIDE}x{SIDE}.npy", tmp_path / "stopped")
    for stops in range(40):  # noqa: B007
        try:
            stop = StopAfter(11)
            resumed = train(
                dataset, SPECS, tower, config, workdir=tmp_path / "stopped", should_stop=stop
            )
            break
        except Stopped:
            continue
    assert stops >= 2
    assert same(straight, resumed)
    tensors, _ = checkpoint.load(tmp_path / "straight" / "main.safetensors")
    frozen = set(frozen_state(straight.classifier.backbone))
    kept = {name.split(".", 2)[-1] for name in tensors if name.startswith(("student", "teacher"))}
    assert not kept & frozen
    assert kept >= set(weights_of(straight))


@pytest.fixture(scope="module")
def trained(tower, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    model = train(marks(24, 8), SPECS, tower, dataclasses.replace(LORA, lr=1e-2), workdir=folder)
    assert any((t != 0).any() for name, t in weights_of(model).items() if name.endswith("up"))
    return model


def weights_of(model):
    return adapter_state(model.classifier.backbone)


def test_a_model_keeps_adapters_alone_and_needs_its_backbone(tmp_path, tower, trained):
    trained.save(tmp_path)
    tensors, _ = checkpoint.load(tmp_path / WEIGHTS)
    assert {name.split(".")[0] for name in tensors} == {"head", "backbone"}
    assert not any(name.endswith(".original") for name in tensors)
    photos = [marks(6).photos(index) for index in range(6)]
    expected = trained.predictor().predict(photos).probabilities
    for given in (tower, None):  # at hand, and found again by the name in the card
        predictor = Predictor.load(tmp_path, backbone=given)
        assert predictor.card == trained.card
        assert np.array_equal(predictor.predict(photos).probabilities, expected)
    assert predictor.explain(photos).values.shape == (6, 3, SIDE // 8, SIDE // 8)


def test_a_model_refuses_another_version_of_its_backbone(tmp_path, trained):
    trained.save(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="was trained on"):
        Predictor.load(tmp_path, backbone=tiny(tmp_path / "other", seed=7))


def test_an_adapted_teacher_has_a_student_of_its_own(tmp_path, trained):
    config = dataclasses.replace(QUICK, epochs=1, resolution=SIDE)
    student = distil(trained.predictor(), marks(12), backbone(), config, workdir=tmp_path)
    assert student.card.adapters is None
    assert student.card.config["distilled_from"]["backbone"] == trained.card.backbone
    student.save(tmp_path / "student")
    assert Predictor.load(tmp_path / "student").card == student.card


def test_an_exported_model_has_its_adapters_merged(tmp_path, trained):
    from worker.learning.export import export_onnx
    from worker.learning.onnx_model import OnnxModel, as_batch

    photos = [marks(6).photos(index) for index in range(6)]
    expected = trained.predictor().look(photos).logits
    export_onnx(trained.predictor(), tmp_path)
    logits = OnnxModel.load(tmp_path, threads=1).logits(as_batch(photos, (SIDE, SIDE)))
    assert np.abs(logits - expected).max() <= 1e-3
    assert np.array_equal(trained.predictor().look(photos).logits, expected)

"""Files of tensors are whole or absent, and come back as they were."""

import json

import pytest
import torch

from worker.learning import checkpoint


def test_tensors_and_header_come_back(tmp_path):
    path = tmp_path / "a.safetensors"
    shared = torch.arange(4.0)
    tensors = {"x.one": shared, "x.two": shared, "y": torch.tensor([1, 2])}
    checkpoint.save(path, tensors, {"step": 3})
    loaded, header = checkpoint.load(path)
    assert header == {"step": 3}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    assert set(checkpoint.under("x", loaded)) == {"one", "two"}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"x": torch.ones(1)}, {"step": 1})
    with pytest.raises(TypeError):
        checkpoint.save(path, {"x": torch.ones(1)}, {"step": object()})
    assert checkpoint.load(path)[1] == {"step": 1}


def test_the_header_is_json(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"x": torch.ones(1)}, {"name": "傷"})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["json"]) == {"name": "傷"}


def test_an_optimizer_goes_on_as_if_nothing_had_happened():
    def steps(weight, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            (weight**2).sum().backward()
            optimizer.step()

    straight = torch.nn.Parameter(torch.ones(3, 2, 4, 4).to(memory_format=torch.channels_last))
    first = torch.optim.AdamW([straight], lr=0.1)
    steps(straight, first, 2)
    resumed = torch.nn.Parameter(straight.detach().clone())
    second = torch.optim.AdamW([resumed], lr=0.1)
    checkpoint.restore_optimizer(second, checkpoint.optimizer_tensors(first))
    steps(straight, first, 2)
    steps(resumed, second, 2)
    assert torch.equal(straight, resumed)

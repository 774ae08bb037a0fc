"""Two processes that train one model take the steps that one process takes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.learning.distributed_training import main
from tests.learning.marks import QUICK, SPECS, backbone, marks
from tests.learning.towers import tiny
from worker.learning.processes import Processes
from worker.learning.trainer import train


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    """Batches of odd sizes, cross-fitting, a round of pseudo-labels; layers without batch norm."""
    tiny(tmp_path)  # the file of weights that all of them read
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    main(tmp_path / "one", alone=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script = ["-m", "tests.learning.distributed_training", str(tmp_path / "two")]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node=2", *script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / name / "result.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        assert torch.allclose(one[name], two[name], atol=2e-4), name
    figures = [tmp_path / name / "figures.json" for name in ("one", "two")]
    loss, same_loss = (json.loads(file.read_text())["loss"] for file in figures)
    assert same_loss == pytest.approx(loss, rel=1e-4)


def test_shares_are_disjoint_and_cover_a_batch():
    shares = [Processes(rank, 3).share(16) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == list(range(16))
    assert {len(share) for share in shares} == {5, 6}


def test_more_processes_than_photos_of_a_batch_are_refused():
    with pytest.raises(ValueError, match="cannot share a batch of 8"):
        Processes(0, 9).ensure_enough_for(16, 8)


def test_alone_nothing_is_communicated(tmp_path):
    assert Processes.here() == Processes(0, 1)
    model = train(marks(8), SPECS, backbone(), QUICK, workdir=tmp_path)
    assert model.card.counts["labeled"] == 8

"""A training by several processes: it reports, stops, goes on, and says when a process died."""

import dataclasses
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from app.core.config import Settings
from tests.learning.marks import QUICK, SPECS, backbone, marks
from worker.engine.parallel import processes_for, train_in_processes
from worker.learning import checkpoint
from worker.learning.backbone import load_backbone, untrained
from worker.learning.dataset import NotEnoughLabels
from worker.learning.parallel import DOUBTFUL, hand_over, read_request
from worker.learning.plan import Mode, Precision, resolve
from worker.learning.progress import Stage, Stopped

CONFIG = dataclasses.replace(QUICK, epochs=30, threads=1, precision=Precision.FP32)


@pytest.mark.slow
def test_it_stops_at_a_checkpoint_and_goes_on(tmp_path):
    dataset, seen = marks(16, 8, 52), []

    def attempt(should_stop):
        return train_in_processes(
            2,
            dataset,
            SPECS,
            load_backbone("kizu-small"),
            CONFIG,
            workdir=tmp_path,
            on_progress=seen.append,
            should_stop=should_stop,
        )

    def once_it_learns():
        return any(progress.stage is Stage.WARM_UP for progress in seen)

    with pytest.raises(Stopped):
        attempt(once_it_learns)
    _, header = checkpoint.load(tmp_path / "main.safetensors")
    assert 0 <= header["step"] < 60
    model = attempt(lambda: False)
    assert seen[-1].fraction == 1.0
    assert (model.card.mode, model.card.counts["labeled"]) == (Mode.TUNE, 16)
    assert model.card.config["processes"] == 2
    handed_over = json.loads((tmp_path / DOUBTFUL).read_text())
    assert [dataclasses.asdict(one) for one in model.doubtful] == handed_over
    photos = [dataset.photos(index) for index in range(4)]
    assert np.isfinite(model.predictor().predict(photos).probabilities).all()


@pytest.mark.slow
def test_it_goes_on_after_its_launcher_was_killed(tmp_path):
    """The processes that are left without one end too, and do not write any more."""
    seen, killed = [], []

    def kill_once_it_learns():
        if not killed and any(progress.stage is Stage.WARM_UP for progress in seen):
            # Other tests leave helpers of this process behind.
            killed.extend(child for child in children(os.getpid()) if is_torchrun(child))
            killed.extend(children(killed[0]))
            os.kill(killed[0], signal.SIGKILL)
        return False

    def attempt():
        return train_in_processes(
            2,
            marks(16, 8, 52),
            SPECS,
            load_backbone("kizu-small"),
            dataclasses.replace(CONFIG, epochs=100),
            workdir=tmp_path,
            on_progress=seen.append,
            should_stop=kill_once_it_learns,
        )

    with pytest.raises(RuntimeError, match="exit code -9"):
        attempt()
    deadline = time.monotonic() + 60
    while any(map(runs, killed)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    _, header = checkpoint.load(tmp_path / "main.safetensors")
    assert 0 < header["step"] < 200
    assert attempt().card.config["processes"] == 2


def children(pid):
    """Processes that a process has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def is_torchrun(pid):
    return b"torch.distributed.run" in Path(f"/proc/{pid}/cmdline").read_bytes()


def runs(pid):
    """Whether a process does anything; one that has ended may wait to be collected."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_small_backbones_and_machines_without_gpus_need_one_process():
    assert processes_for(backbone(), Settings()) == 1
    assert processes_for(untrained("ViT-S-32-alt"), Settings()) == max(torch.cuda.device_count(), 1)
    assert processes_for(backbone(), Settings(train_processes=3)) == 3


def test_a_process_that_dies_is_an_error_with_its_last_words(tmp_path):
    torn = backbone()
    torn.name = "no-such-model"
    with pytest.raises(RuntimeError, match="open_clip knows no model named no-such-model"):
        train_in_processes(
            2,
            marks(8),
            SPECS,
            torn,
            CONFIG,
            workdir=tmp_path,
            on_progress=lambda _: None,
            should_stop=lambda: False,
        )


def test_what_is_handed_over_is_read_back(tmp_path):
    dataset, model = marks(5, 3, 2), backbone()
    hand_over(dataset, SPECS, model, QUICK, tmp_path, on_photo=lambda: None)
    request = read_request(tmp_path)
    assert request.labels == SPECS
    assert request.config == resolve(QUICK, model, dataset)
    assert request.dataset.fingerprint() == dataset.fingerprint()
    assert np.array_equal(request.dataset.photos(3), dataset.photos(3))


def test_what_cannot_be_shared_out_is_refused(tmp_path):
    with pytest.raises(NotEnoughLabels):
        hand_over(marks(0, 3), SPECS, backbone(), QUICK, tmp_path, on_photo=lambda: None)
    frozen = dataclasses.replace(QUICK, mode=Mode.FROZEN)
    with pytest.raises(ValueError, match="no frozen one"):
        hand_over(marks(3), SPECS, backbone(), frozen, tmp_path, on_photo=lambda: None)

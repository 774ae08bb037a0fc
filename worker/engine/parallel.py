"""Training on all devices of this worker: torchrun as a child, followed through its folder."""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import Popen

import torch

from app.core import processes
from app.core.config import Settings
from worker.learning import parallel
from worker.learning.adapters import is_large
from worker.learning.aligner import LabelSpec
from worker.learning.backbone import Backbone
from worker.learning.card import ModelCard
from worker.learning.dataset import TrainingSet
from worker.learning.label_noise import Doubtful
from worker.learning.parallel import DOUBTFUL, FAILURE, MODEL, PROGRESS, STOP, read_progress
from worker.learning.plan import TrainingConfig
from worker.learning.predictor import CARD, Predictor, TrainedModel
from worker.learning.progress import OnProgress, ShouldStop, Stopped

LOOK_EVERY_SECONDS = 0.2
# Time to import PyTorch and load a backbone; then, to look at a large pool without a word.
LONGEST_SILENCE_SECONDS = 1800.0
LOG = "torchrun.log"


def processes_for(backbone: Backbone, settings: Settings) -> int:
    """How many processes tune a backbone: unless said, one for each GPU, and one if it is small.

    A small one is quicker trained than shared out.
    """
    usual = torch.cuda.device_count() if is_large(backbone) else 1
    return settings.train_processes or max(usual, 1)


def train_in_processes(
    count: int,
    dataset: TrainingSet,
    labels: Sequence[LabelSpec],
    backbone: Backbone,
    config: TrainingConfig,
    *,
    workdir: Path,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> TrainedModel:
    """`worker.learning.trainer.train` in tune mode, by `count` processes that share its steps.

    Raises `Stopped` after `should_stop`, `RuntimeError` if a process dies or says nothing for
    half an hour; a later call goes on from the checkpoint.
    """

    def check() -> None:
        if should_stop():
            raise Stopped

    parallel.hand_over(dataset, labels, backbone, config, workdir, on_photo=check)
    for name in (STOP, PROGRESS, FAILURE):
        (workdir / name).unlink(missing_ok=True)
    shutil.rmtree(workdir / MODEL, ignore_errors=True)
    with (workdir / LOG).open("wb") as output:
        child = processes.spawn(_command(count, workdir), output=output)
        try:
            _follow(child, workdir, on_progress, should_stop)
        finally:
            processes.stop(child)
    return _outcome(child, workdir, backbone)


def _command(count: int, workdir: Path) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*torchrun, f"--nproc-per-node={count}", "-m", parallel.__name__, str(workdir)]


def _follow(
    child: Popen[bytes], workdir: Path, on_progress: OnProgress, should_stop: ShouldStop
) -> None:
    heard, said, running = time.monotonic(), None, True
    while running:
        time.sleep(LOOK_EVERY_SECONDS)
        running = child.poll() is None  # asked before the folder is read: last words count
        if should_stop():
            (workdir / STOP).touch()
        progress = read_progress(workdir)
        if progress is not None and progress != said:
            heard, said = time.monotonic(), progress
            on_progress(progress)
        if time.monotonic() - heard > LONGEST_SILENCE_SECONDS:
            raise RuntimeError("the training processes say nothing any more")


def _outcome(child: Popen[bytes], workdir: Path, backbone: Backbone) -> TrainedModel:
    if child.returncode != 0:
        said = workdir / FAILURE  # a process that was killed says nothing
        why = said.read_text() if said.exists() else f"exit code {child.returncode}"
        raise RuntimeError(f"a training process died: {why}")
    if not (workdir / MODEL).exists():
        raise Stopped
    card = ModelCard.read(workdir / MODEL / CARD)
    shared = None if card.brings_backbone else backbone
    device = str(next(backbone.parameters()).device)
    predictor = Predictor.load(workdir / MODEL, backbone=shared, device=device)
    doubtful = json.loads((workdir / DOUBTFUL).read_text())
    return TrainedModel(
        predictor.classifier, predictor.card, tuple(Doubtful(**one) for one in doubtful)
    )

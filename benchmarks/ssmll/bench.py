"""Trains methods on one draw of labels; what they have in common is trained once.

Folders follow from each other, each a copy of the one before that goes on: `prepared` (decoded
photos, frozen features), a warm-up for each combination of head, loss, contexts and learning rate,
and one folder for each method. Each holds checkpoints and a ledger of the seconds and memory that
led to it, so that a killed run goes on, and a method's seconds hold the shared part too.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.locks import waiting_for
from benchmarks.ssmll.ledger import Ledger
from benchmarks.ssmll.study import Draw
from worker.learning import checkpoint
from worker.learning.backbone import Backbone
from worker.learning.dataset import Split
from worker.learning.evidence import Evidence
from worker.learning.method import KIZU, Method
from worker.learning.plan import Plan, TrainingConfig, resolve
from worker.learning.predictor import TrainedModel
from worker.learning.progress import Meter, OnProgress, Progress, Stage, Stopped
from worker.learning.trainer import Training

# Up to here methods with the same head, loss, contexts and learning rate do the same.
SHARED = (Stage.PREPARE, Stage.CROSS_FIT, Stage.WARM_UP)


@dataclass(frozen=True)
class Trained:
    """What a run left: the model, its plan, what it cost, what it took for true at the end.

    `answers` (N, K) are human and pseudo-labels of the last round; `pooled` the rows of photos
    without a human label; `held_out` the cross-fitted scores, where the method makes some.
    """

    model: TrainedModel
    plan: Plan
    seconds: float
    peak_mb: float
    answers: NDArray[np.int8]
    pooled: NDArray[np.int64]
    held_out: Evidence | None


class Bench:
    """Runs methods on one draw below `scratch`; other processes may do so at the same time."""

    def __init__(
        self,
        draw: Draw,
        backbone: Backbone,
        config: TrainingConfig,
        scratch: Path,
        on_progress: OnProgress = lambda _: None,
    ) -> None:
        self.draw, self.backbone, self.on_progress = draw, backbone, on_progress
        self.dataset = draw.dataset()
        self.config = resolve(config, backbone, self.dataset)
        photos = [(str(file), file.stat().st_mtime) for file in draw.pack.files]
        self.prepared = scratch / _digest(photos, backbone.version, asdict(self.config))
        self.folder = self.prepared / _digest(self.dataset.fingerprint())

    def train(self, method: Method, tuned: Mapping[str, Any]) -> Trained:
        """Train a method with `tuned` settings, from where an earlier call was stopped."""
        config = method.configured(replace(self.config, **tuned))
        folder = _continued(self._warm_up(method, config), self._folder_of(method, tuned))
        ledger = Ledger(folder, self.backbone)
        training = self._training(method, config, folder, ledger, stop_at=lambda _: False)
        model = training.run()
        ledger.close()
        tensors, _ = checkpoint.load(folder / "main.safetensors")
        charged = [s for s in Stage if s is not Stage.CROSS_FIT or method.measures_confidence]
        return Trained(
            model,
            training.plan,
            ledger.seconds_of(charged),
            ledger.peak_mb,
            tensors["answers.values"].numpy(),
            self.dataset.rows(Split.UNLABELED),
            training.committee.evidence(training.views) if training.committee.members else None,
        )

    def forget(self, method: Method, tuned: Mapping[str, Any]) -> None:
        """Remove what only this training left, once its result is written."""
        shutil.rmtree(self._folder_of(method, tuned))

    def _folder_of(self, method: Method, tuned: Mapping[str, Any]) -> Path:
        return self.folder / f"{method.name}-{_digest(dict(tuned))}"

    def _warm_up(self, method: Method, config: TrainingConfig) -> Path:
        """The folder of a training that was stopped where pseudo-labels begin."""
        folder = _continued(self._prepare(), self.folder / warm_up_name(method, config))
        complete = folder / ("with-folds" if method.measures_confidence else "without-folds")
        if complete.exists():
            return folder
        ledger = Ledger(folder, self.backbone)
        training = self._training(
            method, config, folder, ledger, stop_at=lambda stage: stage not in SHARED
        )
        with contextlib.suppress(Stopped):
            training.run()
        ledger.close()
        complete.touch()
        return folder

    def _prepare(self) -> Path:
        """The folder with the photos as training reads them, or with their frozen features."""
        target = self.prepared / "prepared"
        with waiting_for(self.prepared / "prepared.lock"):
            if not target.exists():
                self._decode(target)
        return target

    def _decode(self, target: Path) -> None:
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        ledger = Ledger(part, self.backbone)
        training = self._training(
            KIZU, self.config, part, ledger, stop_at=lambda stage: stage is not Stage.PREPARE
        )
        with contextlib.suppress(Stopped):
            training.run()
        ledger.close()
        for file in (*part.glob("*.safetensors"), *part.glob("plan.json")):
            file.unlink()  # they belong to one method
        part.replace(target)

    def _training(
        self,
        method: Method,
        config: TrainingConfig,
        folder: Path,
        ledger: Ledger,
        *,
        stop_at: Callable[[Stage], bool],
    ) -> Training:
        def follow(progress: Progress) -> None:
            ledger.note(progress.stage)
            self.on_progress(progress)

        meter = Meter(follow, lambda: stop_at(meter.stage))
        training = Training(
            self.dataset,
            self.draw.pack.specs,
            self.backbone,
            config,
            workdir=folder,
            method=method,
            meter=meter,
        )
        _adopt(folder, training.fingerprint)
        return training


def warm_up_name(method: Method, config: TrainingConfig) -> str:
    """Methods of one name have the same warm-up. A rule has a part in it where it is tried."""
    tried = method.rule.__name__ if method.makes_trials and method.rule else None
    training = (config.loss, config.epochs, config.lr, config.head_lr, config.lambda_pairs)
    voices = "+".join(config.voices or ())
    parts = (method.head.__name__, voices, method.contexts, method.makes_trials, tried, *training)
    return "-".join(["warm", *map(str, parts)])


def _continued(source: Path, target: Path) -> Path:
    """`target` as an earlier call left it, or a copy of `source`; large arrays are linked."""
    if not target.exists():
        part = target.with_name(f"{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part, copy_function=_link_or_copy)
        part.replace(target)
    return target


def _link_or_copy(source: str, target: str) -> None:
    if source.endswith(".npy"):  # written once, only read after that
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _adopt(folder: Path, fingerprint: str) -> None:
    """Let a training go on from checkpoints of another one that was the same up to there."""
    for file in folder.glob("*.safetensors"):
        tensors, header = checkpoint.load(file)
        if header["fingerprint"] != fingerprint:
            checkpoint.save(file, tensors, {**header, "fingerprint": fingerprint})


def _digest(*what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]

"""Kizu's method against its rivals: same backbone, loop, steps and label draws; a file a run.

    python -m benchmarks.rivals PACK --shares 0.05 0.1 --seeds 0 1 2 [--methods kizu cap ...]
    python -m benchmarks.rivals --table

Every finished run is a small JSON under `benchmarks/results/rivals`, and a run that has its file
is not repeated, so the table grows. PACK is a folder in the pack layout; a share of its train
photos keeps its labels, the rest is unlabelled. The test split is scored once, after the last
step; nothing is chosen on it.

Methods with the same head, loss and contexts share their warm-up: it is trained once for each
label draw and continued by each rule, to the same weights as if each had trained it itself.
"""

import argparse
import contextlib
import csv
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pack_training import Pack, configuration, predict, show, training_set
from benchmarks.rivals_table import print_table
from worker.learning import checkpoint
from worker.learning.backbone import Backbone, load_backbone
from worker.learning.baselines import METHODS
from worker.learning.dataset import TrainingSet
from worker.learning.method import Method
from worker.learning.metrics import average_precisions
from worker.learning.plan import TrainingConfig, resolve
from worker.learning.predictor import TrainedModel
from worker.learning.progress import Meter, Progress, Stage, Stopped
from worker.learning.trainer import Training

RESULTS = Path(__file__).parent / "results" / "rivals"


@dataclasses.dataclass(frozen=True)
class Draw:
    """One pack, one share of labels, one seed: what every method is compared on."""

    pack: Pack
    name: str
    share: float
    seed: int

    def dataset(self) -> TrainingSet:
        rows = np.flatnonzero(~self.pack.test)
        order = np.random.default_rng(self.seed).permutation(rows)
        return training_set(self.pack, order[: max(int(self.share * len(order)), 1)], rows[:0])

    def file(self, method: str) -> Path:
        return RESULTS / f"{self.name}-{self.share:g}-{method}-{self.seed}.json"


class Bench:
    """Runs methods on one draw in a scratch folder that they share."""

    def __init__(self, draw: Draw, backbone: Backbone, config: TrainingConfig, folder: Path):
        self.draw, self.backbone, self.config, self.folder = draw, backbone, config, folder
        self.dataset = draw.dataset()

    def run(self, method: Method) -> dict[str, Any]:
        warm = self._warm_up(method)
        folder = self.folder / method.name
        shutil.copytree(warm, folder)
        started = time.perf_counter()
        training = self._training(method, folder, until=None)
        _adopt(folder, training.fingerprint)
        model = training.run()
        seconds = time.perf_counter() - started + json.loads((warm / "seconds.json").read_text())
        shutil.rmtree(folder)
        return {
            "pack": self.draw.name,
            "share": self.draw.share,
            "method": method.name,
            "seed": self.draw.seed,
            "labeled": int((self.dataset.labels >= 0).any(axis=1).sum()),
            "backbone": self.backbone.name,
            "backbone_version": self.backbone.version,
            **scores(model, self.draw),
            "train_seconds": round(seconds, 1),
            "plan": dataclasses.asdict(training.plan),
            "config": model.card.to_json()["config"],
            "contexts": model.card.contexts.names,
        }

    def _warm_up(self, method: Method) -> Path:
        """The folder of a training that was stopped where pseudo-labels begin."""
        configured = method.configure(self.config)
        parts = (method.head.__name__, configured.loss, str(configured.epochs), method.contexts)
        folder = self.folder / "-".join(("warm", *parts))
        spent = json.loads((folder / "seconds.json").read_text()) if folder.exists() else 0.0
        folder.mkdir(exist_ok=True)
        started = time.perf_counter()
        training = self._training(method, folder, until=Stage.PSEUDO_LABELS)
        _adopt(folder, training.fingerprint)
        with contextlib.suppress(Stopped):
            training.run()
        seconds = spent + time.perf_counter() - started
        (folder / "seconds.json").write_text(json.dumps(seconds))
        return folder

    def _training(self, method: Method, folder: Path, *, until: Stage | None) -> Training:
        stage = Stage.PREPARE

        def follow(progress: Progress) -> None:
            nonlocal stage
            stage = progress.stage
            show(progress)

        config = method.configure(resolve(self.config, self.backbone, self.dataset))
        return Training(
            self.dataset,
            self.draw.pack.specs,
            self.backbone,
            config,
            workdir=folder,
            method=method,
            meter=Meter(follow, lambda: stage is until),
        )


def _adopt(folder: Path, fingerprint: str) -> None:
    """Let a training go on from checkpoints of another one that was the same up to there."""
    for file in folder.glob("*.safetensors"):
        tensors, header = checkpoint.load(file)
        checkpoint.save(file, tensors, {**header, "fingerprint": fingerprint})


def scores(model: TrainedModel, draw: Draw) -> dict[str, Any]:
    """Average precision on the test split; `strict` leaves out the cells that the pack doubts."""
    pack = draw.pack
    rows = np.flatnonzero(pack.test)
    probabilities = predict(model.predictor(), pack, rows).probabilities
    ap = average_precisions(probabilities, pack.labels[rows])
    strict = average_precisions(probabilities, _without_doubted(pack)[rows])
    keys = [spec.key for spec in pack.specs]
    return {
        "map": round(float(ap.mean()), 4),
        "map_strict": round(float(strict.mean()), 4),
        "ap": {key: round(float(x), 4) for key, x in zip(keys, ap, strict=True)},
    }


def _without_doubted(pack: Pack) -> NDArray[np.int8]:
    """Labels (N, K) with -1 in the cells that `partial.csv` names (defects cut by the border)."""
    labels = pack.labels.copy()
    listed = pack.files[0].parents[1] / "partial.csv"
    if listed.exists():
        row_of = {"/".join(file.parts[-2:]): row for row, file in enumerate(pack.files)}
        keys = [spec.key for spec in pack.specs]
        with listed.open() as lines:
            for cell in csv.DictReader(lines):
                doubted = [keys.index(key) for key in cell["partial_labels"].split("|")]
                labels[row_of[cell["file"]], doubted] = -1
    return labels


def run_all(args: argparse.Namespace) -> None:
    pack, backbone = Pack.read(args.pack), load_backbone(args.backbone)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for share in args.shares:
            args.seed = seed
            draw = Draw(pack, args.pack.name, share, seed)
            run_draw(draw, backbone, configuration(args), args.methods, args.scratch)


def run_draw(
    draw: Draw,
    backbone: Backbone,
    config: TrainingConfig,
    methods: Sequence[str],
    scratch: Path | None,
) -> None:
    missing = [name for name in methods if not draw.file(name).exists()]
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        bench = Bench(draw, backbone, config, Path(folder))
        for name in missing:
            result = bench.run(METHODS[name])
            draw.file(name).write_text(json.dumps(result, indent=1) + "\n")
            print(f"\r{draw.file(name).stem}: {result['map']:.4f}{'':60}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack", type=Path, nargs="?")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", choices=sorted(METHODS), default=list(METHODS))
    parser.add_argument("--backbone", default="kizu-small")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--orientations", default="")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--table", action="store_true", help="print what has been run so far")
    args = parser.parse_args()
    if args.pack is not None:
        run_all(args)
    if args.table or args.pack is None:
        print_table(RESULTS)


if __name__ == "__main__":
    main()

"""Small defects in large photos: what tiles give and cost, on a pack of large photos.

    python -m benchmarks.tiling PACK --labeled 0.2 --epochs 30 --out DIR --variants 160 160+2x2 360

A variant is a resolution, with `+RxC` tiles. All learn from the same labelled photos, for the same
number of steps and without pseudo-labels, one after the other; the test split is only scored.
Training and prediction run in processes of their own, so that each has a peak of memory; times are
those of the processor, so that other work on the machine does not count. Prints a Markdown table.
DIR keeps models and figures: what lies there is not run again.
"""

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import read_folder
from benchmarks.pack_training import predict
from benchmarks.settings import show
from worker.learning.backbone import load_backbone
from worker.learning.dataset import Split, TrainingSet
from worker.learning.method import KIZU
from worker.learning.metrics import average_precisions
from worker.learning.plan import Mode, TrainingConfig
from worker.learning.predictor import Predictor
from worker.learning.tiling import WHOLE
from worker.learning.trainer import train

WARM_UP = dataclasses.replace(KIZU, name="kizu-warm-up", rule=None, measures_confidence=False)


def configured(args: argparse.Namespace) -> TrainingConfig:
    side, _, tiles = args.variant.partition("+")
    rows, columns = map(int, tiles.split("x")) if tiles else WHOLE
    return TrainingConfig(
        mode=Mode(args.mode),
        seed=args.seed,
        resolution=int(side),
        tiles=(rows, columns),
        epochs=args.epochs,
        threads=args.threads,
    )


def trained(args: argparse.Namespace, folder: Path) -> None:
    pack = read_folder(args.pack)
    rows = np.random.default_rng(args.seed).permutation(np.flatnonzero(~pack.test))
    rows = rows[: max(int(args.labeled * len(rows)), 1)]
    dataset = TrainingSet(
        keys=tuple(pack.files[row].name for row in rows),
        labels=pack.labels[rows],
        split=(Split.TRAIN,) * len(rows),
        photos=lambda index: pack.photo(int(rows[index])),
    )
    backbone = load_backbone(args.backbone)
    with tempfile.TemporaryDirectory() as work:
        started = time.process_time()
        model = train(
            dataset,
            pack.specs,
            backbone,
            configured(args),
            workdir=Path(work),
            method=WARM_UP,
            on_progress=show,
        )
    seconds = time.process_time() - started
    model.save(folder)
    steps = model.card.config["plan"]["warm_up_steps"]
    figures = {"steps": steps, "train_seconds": seconds, "train_mb": peak_mb()}
    (folder / "training.json").write_text(json.dumps(figures))


def scored(args: argparse.Namespace, folder: Path) -> None:
    pack, predictor = read_folder(args.pack), Predictor.load(folder)
    rows = np.flatnonzero(pack.test)
    predictor.predict([pack.photo(int(rows[0]))])  # the first call also warms up
    started = time.process_time()
    probabilities = predict(predictor, pack, rows).probabilities
    seconds = time.process_time() - started
    ap = average_precisions(probabilities, pack.labels[rows])
    figures = {
        "map": float(ap.mean()),
        "ap": dict(zip([spec.key for spec in pack.specs], ap.tolist(), strict=True)),
        "predict_ms": 1000 * seconds / len(rows),
        "predict_mb": peak_mb(),
    }
    (folder / "scores.json").write_text(json.dumps(figures))


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


STEPS = {"training": trained, "scores": scored}


def run(args: argparse.Namespace, variant: str) -> dict[str, Any]:
    """The figures of one variant, made now unless they are there."""
    folder = args.out / f"{args.mode}-{variant}-{args.labeled}-{args.epochs}-seed{args.seed}"
    figures: dict[str, Any] = {}
    for step in STEPS:
        file = folder / f"{step}.json"
        if not file.exists():
            command = [sys.executable, "-m", "benchmarks.tiling", *sys.argv[1:]]
            subprocess.run(
                [*command, "--step", step, "--variant", variant, "--folder", folder], check=True
            )
        figures |= json.loads(file.read_text())
    return figures


def table(found: dict[str, dict[str, Any]]) -> str:
    labels = list(next(iter(found.values()))["ap"])
    head = ["", "steps", "mAP", *labels, "training s", "MB", "prediction ms", "MB"]
    lines = [head, ["---"] * len(head)]
    for variant, one in found.items():
        accuracy = [f"{value:.3f}" for value in (one["map"], *one["ap"].values())]
        training = [f"{one['train_seconds']:.0f}", str(one["train_mb"])]
        prediction = [f"{one['predict_ms']:.1f}", str(one["predict_mb"])]
        lines.append([variant, str(one["steps"]), *accuracy, *training, *prediction])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--labeled", type=float, default=0.2)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", default=["160", "160+2x2", "360"])
    parser.add_argument("--backbone", default="kizu-small")
    parser.add_argument("--mode", default="tune")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    for name, kind in (("--step", str), ("--variant", str), ("--folder", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        STEPS[args.step](args, args.folder)
        return
    print(table({variant: run(args, variant) for variant in args.variants}))


if __name__ == "__main__":
    main()

"""Train on a folder in the pack layout without the service, and print what came out as JSON.

    python -m benchmarks.pack_training PACK --labeled 0.1 [--resolution 192] [--epochs 40] ...

A share of the train photos keeps its labels, the rest is unlabelled; the test split is only
scored. `--validation N` adds labelled photos that only measure, as the service's evaluation set
does; without them confidence is cross-fitted. `--second-round N` lets a perfect reviewer decide
all labels of N more photos, the surest and the least sure half and half, and trains again.
"""

import argparse
import csv
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worker.learning.aligner import LabelSpec
from worker.learning.augment import Augmentation, Orientations
from worker.learning.backbone import Backbone, load_backbone, untrained
from worker.learning.dataset import Split, TrainingSet
from worker.learning.metrics import average_precisions, pseudo_label_quality
from worker.learning.plan import Mode, TrainingConfig
from worker.learning.predictor import Predictions, Predictor
from worker.learning.progress import Progress
from worker.learning.thresholds import select
from worker.learning.trainer import train

Labels = NDArray[np.int8]


@dataclasses.dataclass(frozen=True)
class Pack:
    files: tuple[Path, ...]
    test: NDArray[np.bool_]
    labels: Labels
    specs: tuple[LabelSpec, ...]

    @classmethod
    def read(cls, folder: Path) -> "Pack":
        with (folder / "classes.tsv").open() as file:
            classes = list(csv.DictReader(file, delimiter="\t"))
        with (folder / "labels.csv").open() as file:
            rows = list(csv.DictReader(file))
        keys = [row["label"] for row in classes]
        return cls(
            files=tuple(folder / row["file"] for row in rows),
            test=np.array([row["split"] == "test" for row in rows]),
            labels=np.array(
                [[key in row["labels"].split("|") for key in keys] for row in rows], dtype=np.int8
            ),
            specs=tuple(LabelSpec(row["label"], (row["phrase"],)) for row in classes),
        )

    def photo(self, index: int) -> NDArray[np.uint8]:
        with Image.open(self.files[index]) as image:
            return np.asarray(image if image.mode == "L" else image.convert("RGB"))


def training_set(
    pack: Pack, labeled: NDArray[np.int64], validation: NDArray[np.int64]
) -> TrainingSet:
    """Labels of the photos at `labeled` and `validation` only; the test split takes no part."""
    rows = np.flatnonzero(~pack.test)
    known = np.full_like(pack.labels, -1)
    for asked in (labeled, validation):
        known[asked] = pack.labels[asked]
    apart = set(validation.tolist())
    return TrainingSet(
        keys=tuple(pack.files[i].name for i in rows),
        labels=known[rows],
        split=tuple(Split.VALIDATION if int(i) in apart else Split.TRAIN for i in rows),
        photos=lambda index: pack.photo(int(rows[index])),
    )


def one_round(
    pack: Pack,
    labeled: NDArray[np.int64],
    validation: NDArray[np.int64],
    args: argparse.Namespace,
    backbone: Backbone,
) -> tuple[dict[str, Any], Predictions]:
    """Train, then score the test photos and the pseudo-labels of the unlabelled ones."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        model = train(
            training_set(pack, labeled, validation),
            pack.specs,
            backbone,
            configuration(args),
            workdir=Path(folder),
            on_progress=show,
        )
    trained = time.perf_counter() - started
    predictions = predict(model.predictor(), pack, np.arange(len(pack.files)))
    probabilities = predictions.probabilities
    ap = average_precisions(probabilities[pack.test], pack.labels[pack.test])
    rest = np.setdiff1d(np.flatnonzero(~pack.test), np.concatenate([labeled, validation]))
    selected = select(probabilities[rest], model.card.thresholds).value
    card = model.card.to_json()
    return {
        "labeled": len(labeled),
        "map": float(ap.mean()),
        "ap": dict(zip([spec.key for spec in pack.specs], ap.tolist(), strict=True)),
        "pseudo_labels": int((selected >= 0).sum()),
        "present_precision_recall": pseudo_label_quality(selected, pack.labels[rest], value=1),
        "absent_precision_recall": pseudo_label_quality(selected, pack.labels[rest], value=0),
        "held_out": {key: card["metrics"].get(key) for key in ("source", "map", "ece")},
        "contexts": card["contexts"]["names"],
        "plan": card["config"]["plan"],
        "train_seconds": trained,
        "predict_seconds": time.perf_counter() - started - trained,
    }, predictions


def predict(predictor: Predictor, pack: Pack, rows: NDArray[np.int64]) -> Predictions:
    parts = [
        predictor.predict([pack.photo(int(i)) for i in rows[start : start + 256]])
        for start in range(0, len(rows), 256)
    ]
    fields = [field.name for field in dataclasses.fields(Predictions)]
    return Predictions(**{f: np.concatenate([getattr(p, f) for p in parts]) for f in fields})


def configuration(args: argparse.Namespace) -> TrainingConfig:
    """The default configuration with what the command line changes, `name=value` each."""
    changes: dict[str, Any] = {"seed": args.seed, "threads": 2, "mode": Mode(args.mode)}
    defaults = dataclasses.asdict(TrainingConfig())
    for assignment in args.set:
        name, value = assignment.split("=", 1)
        if name not in defaults:
            raise SystemExit(f"no setting is called {name}")
        changes[name] = json.loads(value)
    if args.orientations:
        changes["augmentation"] = Augmentation(orientations=Orientations(args.orientations))
    return dataclasses.replace(TrainingConfig(), **changes)


def show(progress: Progress) -> None:
    metrics = " ".join(f"{name} {value:.3f}" for name, value in progress.metrics.items())
    line = f"{progress.stage} {progress.fraction:.1%}, {progress.eta_seconds:.0f} s left {metrics}"
    print(f"\r{line:<100}", end="", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--labeled", type=float, default=0.1)
    parser.add_argument(
        "--validation", type=int, default=0, help="more photos, labelled to measure with"
    )
    parser.add_argument("--second-round", type=int, default=0, metavar="N")
    parser.add_argument("--backbone", default="kizu-small")
    parser.add_argument("--untrained", action="store_true", help="its weights drawn by --seed")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--orientations", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON")
    args = parser.parse_args()
    pack = Pack.read(args.pack)
    backbone = untrained(args.backbone, seed=args.seed) if args.untrained else None
    backbone = backbone or load_backbone(args.backbone)
    train_rows = np.flatnonzero(~pack.test)
    order = np.random.default_rng(args.seed).permutation(train_rows)
    labeled = order[: max(int(args.labeled * len(order)), 1)]
    validation = order[len(labeled) : len(labeled) + args.validation]
    first, predictions = one_round(pack, labeled, validation, args, backbone)
    rounds = [first]
    if args.second_round:
        rest = np.setdiff1d(train_rows, np.concatenate([labeled, validation]))
        surest = rest[np.argsort(predictions.uncertainty[rest])]
        half = args.second_round // 2
        more = np.concatenate([surest[:half], surest[len(surest) - half :]])
        labeled = np.concatenate([labeled, more])
        rounds.append(one_round(pack, labeled, validation, args, backbone)[0])
    print(file=sys.stderr)
    print(json.dumps({"pack": args.pack.name, "rounds": rounds}, indent=1))


if __name__ == "__main__":
    main()

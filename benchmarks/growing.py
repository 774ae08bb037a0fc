"""What a label learns that is added to a trained model, against training all labels again.

    python -m benchmarks.growing PACK --new spur copper --positives 20 50 150 [--labeled 0.1] ...

A model learns all labels but the new ones from a share of the photos. Then each new label alone is
annotated on photos in random order, until so many are positive, and joins the model; beside it, all
labels with the same annotations are trained from the start (`--no-retraining` leaves that out).
Prints the average precision on the test split and the seconds as JSON.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Pack, read_folder, training_set
from benchmarks.pack_training import configuration, predict
from benchmarks.settings import show
from worker.learning.backbone import Backbone, load_backbone
from worker.learning.dataset import TrainingSet
from worker.learning.growing import grow
from worker.learning.metrics import average_precisions
from worker.learning.plan import TrainingConfig
from worker.learning.predictor import TrainedModel
from worker.learning.trainer import train

Rows = NDArray[np.int64]
Learn = Callable[[Path], TrainedModel]


@dataclasses.dataclass(frozen=True)
class Bench:
    """One pack, one draw of photos in `order`, of which the first `n_labeled` are labelled."""

    pack: Pack
    order: Rows
    n_labeled: int
    backbone: Backbone
    config: TrainingConfig

    def dataset(self, columns: list[int], new: int | None, positives: int) -> TrainingSet:
        """Labels at `columns`; of the `new` one, answers until `positives` are present."""
        labeled = self.order[: self.n_labeled]
        dataset = training_set(self.pack, labeled, labeled[:0])
        rows = np.searchsorted(np.flatnonzero(~self.pack.test), self.order)
        if new is not None:
            truth = self.pack.labels[self.order, new]
            asked = int(np.searchsorted(np.cumsum(truth), positives)) + 1
            dataset.labels[:, new] = -1
            dataset.labels[rows[:asked], new] = truth[:asked]
        return dataclasses.replace(dataset, labels=dataset.labels[:, columns])

    def timed(self, learn: Learn) -> tuple[TrainedModel, float]:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            return learn(Path(folder)), time.perf_counter() - started

    def trained(self, columns: list[int], new: int | None, positives: int) -> Learn:
        return lambda folder: train(
            self.dataset(columns, new, positives),
            [self.pack.specs[k] for k in columns],
            self.backbone,
            self.config,
            workdir=folder,
            on_progress=show,
        )

    def grown(self, base: TrainedModel, columns: list[int], positives: int) -> Learn:
        return lambda folder: grow(
            base.predictor(),
            self.dataset(columns, columns[-1], positives),
            [self.pack.specs[k] for k in columns],
            self.config,
            origin="the model before",
            workdir=folder,
            on_progress=show,
        )

    def measured(self, learned: tuple[TrainedModel, float], columns: list[int]) -> dict[str, Any]:
        model, seconds = learned
        rows = np.flatnonzero(self.pack.test)
        seen = predict(model.predictor(), self.pack, rows).probabilities
        ap = average_precisions(seen, self.pack.labels[rows][:, columns])
        keys = [self.pack.specs[k].key for k in columns]
        found = {key: round(float(value), 4) for key, value in zip(keys, ap, strict=True)}
        return {"ap": found, "seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--new", nargs="+", required=True)
    parser.add_argument("--positives", nargs="+", type=int, default=[20, 50, 150])
    parser.add_argument("--labeled", type=float, default=0.1)
    parser.add_argument("--no-retraining", action="store_true")
    parser.add_argument("--backbone", default="kizu-small")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--orientations", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON")
    args = parser.parse_args()
    pack = read_folder(args.pack)
    keys = [spec.key for spec in pack.specs]
    order = np.random.default_rng(args.seed).permutation(np.flatnonzero(~pack.test))
    count = int(args.labeled * len(order))
    bench = Bench(pack, order, count, load_backbone(args.backbone), configuration(args))
    old = [k for k, key in enumerate(keys) if key not in args.new]
    base = bench.timed(bench.trained(old, None, 0))
    result: dict[str, Any] = {"before": bench.measured(base, old), "new": {}}
    for key in args.new:
        columns = [*old, keys.index(key)]
        for positives in args.positives:
            runs = {"grown": bench.grown(base[0], columns, positives)}
            if not args.no_retraining:
                runs["retrained"] = bench.trained(columns, columns[-1], positives)
            result["new"][f"{key}, {positives} positives"] = {
                name: bench.measured(bench.timed(learn), columns) for name, learn in runs.items()
            }
    print(file=sys.stderr)
    print(json.dumps({"pack": args.pack.name, **result}, indent=1))


if __name__ == "__main__":
    main()

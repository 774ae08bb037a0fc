"""Does novelty find photos of a kind that nobody has labelled?

    python -m benchmarks.novelty materials
    python -m benchmarks.novelty PACK [--tune-seconds 90]

One kind at a time is left out: the labelled photos show none of it, then novelty ranks photos that
nobody labelled, half of them, at most, of that kind. `materials` renders parts and leaves out one
production line; PACK leaves out the photos that show one label. Prints the AUROC (the chance that a
photo of the left-out kind is ranked above another one; 0.5 is chance) with features of the backbone
as it comes, and with `--tune-seconds` also of a model tuned on the labelled photos. As JSON.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.datasets import Pack, read_folder, training_set
from benchmarks.settings import show
from worker.learning.backbone import Backbone, load_backbone
from worker.learning.novelty import Novelty
from worker.learning.plan import TrainingConfig
from worker.learning.predictor import as_pixels
from worker.learning.rendering.pack import LINES, PACK_STREAM, PHOTO_SIZE
from worker.learning.rendering.scenes import render_surface
from worker.learning.trainer import train

MATERIALS = "materials"
BATCH = 32

Rows = NDArray[np.int64]
Photo = Callable[[int], NDArray[np.uint8]]
Features = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Case:
    """What is left out, the rows that are labelled, and those that are ranked."""

    left_out: str
    labeled: Rows
    ranked: Rows
    is_new: NDArray[np.bool_]  # of `ranked`


def case(left_out: str, shows_it: NDArray[np.bool_], pool: Rows, test: Rows, count: int) -> Case:
    """Label `count` of `pool` that do not show it; rank as many of both kinds of `test`."""
    new, old = test[shows_it[test]], test[~shows_it[test]]
    ranked = np.concatenate([new[: len(old)], old])
    return Case(left_out, pool[~shows_it[pool]][:count], ranked, shows_it[ranked])


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Mann-Whitney: the share of (positive, negative) pairs in the right order, ties half."""
    ranks = rankdata(scores)
    n_positive, n_negative = positive.sum(), (~positive).sum()
    below = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(below / (n_positive * n_negative))


@torch.inference_mode()
def plain_features(backbone: Backbone, photo: Photo, rows: Rows, side: int) -> Features:
    """Unit pooled features (N, D) of the backbone as it comes."""
    parts = []
    for first in range(0, len(rows), BATCH):
        pixels = [as_pixels(photo(int(row)), (side, side)) for row in rows[first : first + BATCH]]
        pooled = backbone.encode_image(torch.stack(pixels)).pooled
        parts.append(torch.nn.functional.normalize(pooled, dim=-1).numpy())
    return np.concatenate(parts)


def scored(of: Callable[[Rows], Features], one: Case) -> float:
    return auroc(Novelty.fit(of(one.labeled))(of(one.ranked)), one.is_new)


def tuned(pack: Pack, one: Case, args: argparse.Namespace) -> Callable[[Rows], Features]:
    """Features of a model that learned from the labelled photos alone."""
    config = TrainingConfig(
        resolution=args.resolution, time_budget_seconds=args.tune_seconds, threads=1
    )
    with tempfile.TemporaryDirectory() as work:
        known = training_set(pack, one.labeled, one.labeled[:0])
        backbone = load_backbone(args.backbone)
        model = train(known, pack.specs, backbone, config, workdir=Path(work), on_progress=show)
    predictor = model.predictor()

    def features(rows: Rows) -> Features:
        parts = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
        return np.concatenate(
            [predictor.predict([pack.photo(int(row)) for row in part]).embedding for part in parts]
        )

    return features


def materials(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Parts of three lines, drawn evenly, with the defects of their line."""
    count = 2 * args.labeled

    def photo(index: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng((PACK_STREAM, args.seed, 1, index))
        line = LINES[index % len(LINES)]
        defects = [kind for kind, chance in line.chances.items() if rng.random() < chance]
        return render_surface(rng, PHOTO_SIZE, defects, severity=0.8, surface=line.surface).pixels

    rows = np.arange(count + args.ranked)
    backbone = load_backbone(args.backbone)
    everything = plain_features(backbone, photo, rows, args.resolution)
    found = {}
    for number, line in enumerate(LINES):
        shows_it = rows % len(LINES) == number
        one = case(line.surface, shows_it, rows[:count], rows[count:], args.labeled)
        found[line.surface] = {"as it comes": scored(lambda wanted: everything[wanted], one)}
    return found


def of_pack(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    pack = read_folder(Path(args.photos))
    rng = np.random.default_rng(args.seed)
    pool = rng.permutation(np.flatnonzero(~pack.test))
    test = rng.permutation(np.flatnonzero(pack.test))[: args.ranked]
    backbone = load_backbone(args.backbone)
    found = {}
    for column, spec in enumerate(pack.specs):
        one = case(spec.key, pack.labels[:, column] == 1, pool, test, args.labeled)
        figures = {
            "as it comes": scored(
                lambda rows: plain_features(backbone, pack.photo, rows, args.resolution), one
            )
        }
        if args.tune_seconds:
            figures["tuned"] = scored(tuned(pack, one, args), one)
        found[spec.key] = {**figures, "labelled": len(one.labeled), "new": int(one.is_new.sum())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", help=f"a folder in the pack layout, or {MATERIALS!r}")
    parser.add_argument("--labeled", type=int, default=200)
    parser.add_argument("--ranked", type=int, default=400, help="photos to rank, at most")
    parser.add_argument("--resolution", type=int, default=160)
    parser.add_argument("--tune-seconds", type=float, default=0.0)
    parser.add_argument("--backbone", default="kizu-small")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = materials(args) if args.photos == MATERIALS else of_pack(args)
    print(file=sys.stderr)
    print(json.dumps({"photos": args.photos, "auroc": found}, indent=1))


if __name__ == "__main__":
    main()

"""Do heat maps point at the defect? The pointing game on renders, or on a pack with boxes.

    python -m benchmarks.pointing renders --photos 200
    python -m benchmarks.pointing PACK --labeled 0.2 --resolution 320 --tolerance 15

Trains on image labels alone, then asks for a map of every label present on photos that training
never saw: renders of other seeds, whose masks the renderer knows, or the test split of PACK, whose
`boxes.csv` (file,label,x1,y1,x2,y2 in pixels) is read for this check alone. Prints JSON: shares of
peaks within 0 and `--tolerance` pixels of the defect, for each basis of a map and by lot, and the
size of a stored map. `--model FOLDER` keeps the model, or takes the one that lies there.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Pack, read_folder, training_set
from benchmarks.pack_training import configuration
from benchmarks.settings import change, show
from worker.learning.backbone import load_backbone
from worker.learning.explanation import Basis, HeatMaps, png
from worker.learning.pointing import (
    Distances,
    Pair,
    Points,
    covered,
    distance_to_boxes,
    distance_to_mask,
    places,
    play,
)
from worker.learning.predictor import Predictor
from worker.learning.rendering import render_pack
from worker.learning.rendering.pack import pack_photo
from worker.learning.trainer import train

RENDERS = "renders"
UNSEEN_SEED = 1_000  # of the photos that are scored; training draws from --seed
CHUNK = 32


@dataclass(frozen=True)
class Boxes:
    """Where one label is on a photo: (M, 4) as x1, y1, x2, y2."""

    values: NDArray[np.int64]

    def distances(self, points: Points) -> Distances:
        return distance_to_boxes(points, self.values)

    def area(self, height: int, width: int) -> float:
        return covered(self.values, height, width)


@dataclass(frozen=True)
class Mask:
    """Where one label is on a photo: (H, W), true on the defect."""

    values: NDArray[np.bool_]

    def distances(self, points: Points) -> Distances:
        return distance_to_mask(points, self.values)

    def area(self, height: int, width: int) -> float:
        return float(self.values.mean())


@dataclass(frozen=True)
class Scene:
    """A photo, and where its labels are."""

    photo: NDArray[np.uint8]
    where: dict[str, Boxes] | dict[str, Mask]


def rendered_scenes(count: int) -> Iterator[Scene]:
    for index in range(count):
        render = pack_photo(UNSEEN_SEED, index)
        yield Scene(render.pixels, {kind: Mask(mask) for kind, mask in render.masks.items()})


def boxed_scenes(folder: Path, pack: Pack, count: int) -> Iterator[Scene]:
    boxes: dict[str, dict[str, list[list[int]]]] = {}
    with (folder / "boxes.csv").open() as file:
        for row in csv.DictReader(file):
            corners = [int(row[name]) for name in ("x1", "y1", "x2", "y2")]
            boxes.setdefault(row["file"], {}).setdefault(row["label"], []).append(corners)
    for index in np.flatnonzero(pack.test)[:count]:
        found = boxes.get(str(pack.files[index].relative_to(folder)), {})
        where = {label: Boxes(np.array(corners)) for label, corners in found.items()}
        yield Scene(pack.photo(int(index)), where)


def pairs_of(scene: Scene, maps: HeatMaps, labels: Sequence[str], row: int) -> Iterator[Pair]:
    """A pair for each label present on the photo, whose maps are at `row`."""
    height, width = scene.photo.shape[:2]
    all_places = places(maps.values.shape[-1], height, width)
    peaks = maps.peaks()[row] * (height, width)  # (K, 2)
    for label, region in scene.where.items():
        yield Pair(
            label=label,
            peak=float(region.distances(peaks[labels.index(label)][None])[0]),
            places=region.distances(all_places),
            area=region.area(height, width),
        )


def measure(
    predictor: Predictor, scenes: Sequence[Scene], basis: Basis, tolerance: float
) -> dict[str, Any]:
    labels = [label.key for label in predictor.card.labels]
    pairs: list[Pair] = []
    stored: list[int] = []
    for start in range(0, len(scenes), CHUNK):
        chunk = scenes[start : start + CHUNK]
        maps = predictor.explain([scene.photo for scene in chunk], basis)
        for row, scene in enumerate(chunk):
            pairs += pairs_of(scene, maps, labels, row)
            stored += [len(png(maps.values[row, labels.index(label)])) for label in scene.where]
    by_label = {
        label: play([pair for pair in pairs if pair.label == label], tolerance).hits
        for label in labels
    }
    return {
        "games": [asdict(play(pairs, pixels)) for pixels in (0.0, tolerance)],
        "hits_by_label": by_label,
        "bytes_of_a_map": {"raw": maps.values[0, 0].size, "png": float(np.mean(stored))},
    }


def trained(args: argparse.Namespace, pack: Pack) -> Predictor:
    """The model in `--model`, trained now if it is not there."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.model or Path(scratch) / "model"
        if not (folder / "card.json").exists():
            rows = np.random.default_rng(args.seed).permutation(np.flatnonzero(~pack.test))
            labeled = rows[: max(int(args.labeled * len(rows)), 1)]
            train(
                training_set(pack, labeled, rows[:0]),
                pack.specs,
                load_backbone(args.backbone),
                configuration(args),
                workdir=Path(scratch) / "work",
                on_progress=show,
            ).save(folder)
            print(file=sys.stderr)
        return Predictor.load(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", help=f"a folder in the pack layout with boxes.csv, or {RENDERS!r}")
    parser.add_argument("--photos", type=int, default=200, help="how many are scored, at most")
    parser.add_argument("--train", type=int, default=1000, help="renders to train on")
    parser.add_argument("--labeled", type=float, default=0.2)
    parser.add_argument("--resolution", type=int, default=160)
    parser.add_argument("--tolerance", type=float, default=15.0, help="in pixels of the photo")
    parser.add_argument("--backbone", default="kizu-small")
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", type=change, action="append", default=[], metavar="NAME=JSON")
    args = parser.parse_args()
    args.mode, args.orientations = "auto", ""
    args.set = [("resolution", args.resolution), *args.set]
    with tempfile.TemporaryDirectory() as rendered:
        folder = Path(rendered if args.pack == RENDERS else args.pack)
        if args.pack == RENDERS:
            render_pack(folder, train=args.train, test=0, seed=args.seed)
            scenes = list(rendered_scenes(args.photos))
            predictor = trained(args, read_folder(folder))
        else:
            pack = read_folder(folder)
            scenes = list(boxed_scenes(folder, pack, args.photos))
            predictor = trained(args, pack)
    result = {kind: measure(predictor, scenes, kind, args.tolerance) for kind in Basis}
    print(json.dumps({"pack": args.pack, "photos": len(scenes), **result}, indent=1))


if __name__ == "__main__":
    main()

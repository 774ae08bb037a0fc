"""What heat maps add to a prediction: seconds and bytes.

    python -m benchmarks.heat_maps [--photos 64] [--resolution 160]

Predicts renders with kizu-small and makes a PNG for every label that is really present: once from
pixels, as a tuned model does, once from tokens, as a frozen one does. Ways take turns in the same
run on one core, the best of several rounds counts. Prints JSON. How well the model was trained
changes nothing here, so it is trained for seconds only.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.datasets import read_folder, training_set
from benchmarks.light import speeds
from worker.learning.backbone import ImageFeatures, load_backbone
from worker.learning.explanation import heat_maps, png
from worker.learning.plan import TrainingConfig
from worker.learning.predictor import Predictor, as_pixels, predictions
from worker.learning.rendering import render_pack
from worker.learning.trainer import train


def explained(predictor: Predictor, photos: Any, present: list[tuple[int, int]]) -> list[bytes]:
    """PNGs of the labels at `present` (row, column), from the tokens of the prediction."""
    look, tokens = predictor.look_with_tokens(photos)
    predictions(look, predictor.card)
    rows = sorted({row for row, _ in present})
    maps = heat_maps(predictor.classifier.head, tokens[torch.tensor(rows)])
    return [png(maps.values[rows.index(row), column]) for row, column in present]


def two_passes(predictor: Predictor, photos: Any) -> None:
    """What it would cost to predict first and explain afterwards."""
    predictor.predict(photos)
    predictor.explain(photos)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=160)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        render_pack(Path(folder), train=args.photos, test=0, seed=0)
        pack = read_folder(Path(folder))
        rows = np.arange(args.photos)
        photos = [pack.photo(int(row)) for row in rows]
        config = TrainingConfig(resolution=args.resolution, epochs=1, rounds=0, threads=1)
        predictor = train(
            training_set(pack, rows, rows[:0]),
            pack.specs,
            load_backbone("kizu-small"),
            config,
            workdir=Path(folder) / "work",
        ).predictor()
    present = [(int(row), int(column)) for row, column in np.argwhere(pack.labels == 1)]
    pixels = torch.stack([as_pixels(photo, (args.resolution, args.resolution)) for photo in photos])
    with torch.inference_mode():
        seen = predictor.classifier.encode(pixels)
    tokens = ImageFeatures(seen.tokens.half(), seen.pooled.half())
    ways: dict[str, Callable[[], object]] = {
        "pixels": lambda: predictor.predict(photos),
        "pixels, with maps": lambda: explained(predictor, photos, present),
        "pixels, maps in a second pass": lambda: two_passes(predictor, photos),
        "tokens": lambda: predictor.predict(tokens),
        "tokens, with maps": lambda: explained(predictor, tokens, present),
    }
    speed = speeds(ways, args.photos)
    sizes = [len(picture) for picture in explained(predictor, tokens, present)]
    result = {
        "views": predictor.card.views,
        "maps": len(present),
        "photos_a_second": speed,
        "time_with_maps_to_time_without": {
            way: speed[way] / speed[f"{way}, with maps"] for way in ("pixels", "tokens")
        },
        "bytes_of_a_map": {"mean": float(np.mean(sizes)), "most": max(sizes)},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""How well does the search by words find photos of a defect?

    python -m benchmarks.search PACK [PACK ...] [--backbone kizu-small] [--first 10]

For each label its description is searched among the pack's test photos, as the page of images does:
photos in the order of their cosine to the sentence, by the backbone as it comes. Prints, per label,
the share of the first ten that show it, the average precision of the whole order, and the share of
all photos that show it, which is what both would be by chance. As JSON.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from benchmarks.datasets import Pack, read_folder
from benchmarks.novelty import plain_features
from worker.learning.aligner import text_features
from worker.learning.backbone import Backbone, load_backbone
from worker.learning.metrics import average_precision


@torch.inference_mode()
def cosines(pack: Pack, backbone: Backbone, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of photos and labels, (N, K)."""
    photos = plain_features(backbone, pack.photo, rows, backbone.image_size)  # (N, D)
    words = F.normalize(text_features(pack.specs, backbone), dim=-1).numpy()  # (K, D)
    found: NDArray[np.float32] = photos @ words.T
    return found


def measured(pack: Pack, backbone: Backbone, first: int) -> dict[str, dict[str, float]]:
    rows = np.flatnonzero(pack.test)
    scores, shows = cosines(pack, backbone, rows), pack.labels[rows] == 1
    return {
        spec.key: {
            f"precision_of_first_{first}": round(
                float(shown[np.argsort(-score)[:first]].mean()), 2
            ),
            "average_precision": round(float(average_precision(score, shown)), 3),
            "by_chance": round(float(shown.mean()), 3),
        }
        for spec, score, shown in zip(pack.specs, scores.T, shows.T, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", nargs="+", type=Path, help="folders in the pack layout")
    parser.add_argument("--backbone", default="kizu-small")
    parser.add_argument("--first", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    backbone = load_backbone(args.backbone)
    found: dict[str, Any] = {
        path.name: measured(read_folder(path), backbone, args.first) for path in args.packs
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

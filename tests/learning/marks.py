"""Tiny photos with marks on them, for trainings that take seconds."""

import csv

import numpy as np
from PIL import Image

from worker.learning.aligner import LabelSpec
from worker.learning.backbone import Backbone, untrained
from worker.learning.dataset import Split, TrainingSet
from worker.learning.plan import TrainingConfig

SIDE = 48
SPECS = (
    LabelSpec("bright", ("a bright spot on metal",)),
    LabelSpec("dark", ("a dark hole in metal",)),
    LabelSpec("line"),
)
# Nothing is left open: each trial is two more models.
QUICK = TrainingConfig(
    resolution=SIDE,
    epochs=3,
    rounds=1,
    batch_labeled=8,
    batch_unlabeled=8,
    lambda_pairs=0.0,
    pseudo_labels=True,
)


def backbone(seed: int = 0) -> Backbone:
    return untrained("kizu-small", seed=seed)


def photo(labels: np.ndarray, index: int) -> np.ndarray:
    """Grey (SIDE, SIDE) with a bright square, a dark square, a line, as `labels` say."""
    rng = np.random.default_rng(index)
    grey = rng.normal(120, 6, (SIDE, SIDE))
    for present, step in zip(labels[:2], (100, -100), strict=True):
        row, column = rng.integers(2, SIDE - 12, 2)
        grey[row : row + 10, column : column + 10] += step * (present == 1)
    grey[rng.integers(4, SIDE - 4)] += 80 * (labels[2] == 1)
    return grey.clip(0, 255).astype(np.uint8)


def truth(count: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((count, 3)) < 0.4).astype(np.int8)


def marks(n_labeled: int, n_unlabeled: int = 0, n_validation: int = 0) -> TrainingSet:
    """A set whose first photos are labelled, then the unlabelled, then those of validation."""
    count = n_labeled + n_unlabeled + n_validation
    real = truth(count)
    known = real.copy()
    known[n_labeled : n_labeled + n_unlabeled] = -1
    splits = [Split.TRAIN] * (n_labeled + n_unlabeled) + [Split.VALIDATION] * n_validation
    return TrainingSet(
        keys=tuple(f"photo-{index}" for index in range(count)),
        labels=known,
        split=tuple(splits),
        photos=lambda index: photo(real[index], index),
    )


def write_pack(folder, *, train, test):
    """The marks in the pack layout; returns the folder."""
    (folder / "images").mkdir(parents=True)
    rows = [("file", "split", "labels")]
    for index, labels in enumerate(truth(train + test)):
        name = f"images/{index}.png"
        Image.fromarray(photo(labels, index)).save(folder / name)
        present = [spec.key for spec, value in zip(SPECS, labels, strict=True) if value]
        rows.append((name, "train" if index < train else "test", "|".join(present)))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    phrases = [f"{spec.key}\t{' '.join(spec.prompts) or spec.key}" for spec in SPECS]
    (folder / "classes.tsv").write_text("\n".join(["label\tphrase", *phrases]) + "\n")
    return folder

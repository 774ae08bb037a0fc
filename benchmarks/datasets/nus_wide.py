"""NUS-WIDE as its authors distribute it: `ImageList`, `Groundtruth/TrainTestLabels`, `Flickr`.

The official split of 161,789 and 107,859 photos. CAP (NeurIPS 2023) and D2L (ECCV 2024) use lists
of a second crawl (150,000 and 60,200 photos) that these files cannot give: results differ.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.pack import Pack, UnreadableData, ensemble

SPLITS = ("Train", "Test")


def read_nus_wide(path: Path) -> Pack:
    """NUS-WIDE at `path`. Photos that are not on the disk are left out: Flickr lost some.

    Raises `UnreadableData`.
    """
    truth = path / "Groundtruth" / "TrainTestLabels"
    concepts = sorted(f.stem.split("_")[1] for f in truth.glob(f"Labels_*_{SPLITS[0]}.txt"))
    if not concepts:
        raise UnreadableData(f"{path} is not NUS-WIDE: there are no labels in {truth}")
    try:
        parts = [_split(path, truth, concepts, split) for split in SPLITS]
    except (OSError, ValueError) as error:
        raise UnreadableData(f"{path} is not laid out as NUS-WIDE: {error}") from error
    labels = np.concatenate([labels for _, labels in parts])
    return Pack(
        name="nus-wide",
        files=tuple(file for files, _ in parts for file in files),
        test=np.repeat([False, True], [len(files) for files, _ in parts]),
        labels=labels,
        doubted=np.zeros(labels.shape, dtype=bool),
        specs=ensemble({concept: concept for concept in concepts}),
        published_draws=True,
    )


def _split(
    path: Path, truth: Path, concepts: list[str], split: str
) -> tuple[list[Path], NDArray[np.int8]]:
    """Files of a split and their labels (N, 81)."""
    listed = (path / "ImageList" / f"{split}Imagelist.txt").read_text().split()
    files = [path / "Flickr" / name.replace("\\", "/") for name in listed]
    columns = [np.loadtxt(truth / f"Labels_{c}_{split}.txt", dtype=np.int8) for c in concepts]
    labels = np.stack([np.atleast_1d(column) for column in columns], axis=1)
    if len(labels) != len(files):
        raise ValueError(f"{len(files)} photos are listed, {len(labels)} have labels")
    there = np.array([file.exists() for file in files])
    return [file for file, found in zip(files, there, strict=True) if found], labels[there]

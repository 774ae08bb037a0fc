"""PASCAL VOC 2007 and 2012 as the archives unpack: `VOCdevkit/VOC2012/{ImageSets,JPEGImages}`.

VOC 2007: trainval is learned, test is scored. VOC 2012: train is learned and val is scored, since
the labels of its test photos are not public, as in CAP (NeurIPS 2023) and D2L (ECCV 2024).
"""

from pathlib import Path

import numpy as np

from benchmarks.datasets.pack import Pack, UnreadableData, ensemble

SPLITS = {"VOC2007": ("trainval", "test"), "VOC2012": ("train", "val")}
# Names as VOC's files have them, and as people write them.
CLASSES = {
    "aeroplane": "aeroplane",
    "bicycle": "bicycle",
    "bird": "bird",
    "boat": "boat",
    "bottle": "bottle",
    "bus": "bus",
    "car": "car",
    "cat": "cat",
    "chair": "chair",
    "cow": "cow",
    "diningtable": "dining table",
    "dog": "dog",
    "horse": "horse",
    "motorbike": "motorbike",
    "person": "person",
    "pottedplant": "potted plant",
    "sheep": "sheep",
    "sofa": "sofa",
    "train": "train",
    "tvmonitor": "tv monitor",
}
PRESENT, DIFFICULT = 1, 0  # -1: absent


def read_voc(year: str, path: Path) -> Pack:
    """`VOC2007` or `VOC2012` at `path`, which may be the folder itself or lie above VOCdevkit.

    A class of which a photo shows only objects marked difficult counts as absent, and a photo with
    no other class is left out, both as in CAP's and D2L's lists; the strict score leaves such cells
    out, as VOC's own rules do. Raises `UnreadableData`.
    """
    places = (path, path / year, path / "VOCdevkit" / year)
    root = next((place for place in places if (place / "ImageSets" / "Main").is_dir()), None)
    if root is None:
        raise UnreadableData(f"{path} holds no {year}: there is no ImageSets/Main below it")
    parts = [_split(root, split) for split in SPLITS[year]]
    marks = np.concatenate([marks for _, marks in parts])
    return Pack(
        name=year.lower(),
        files=tuple(root / "JPEGImages" / f"{name}.jpg" for names, _ in parts for name in names),
        test=np.repeat([False, True], [len(names) for names, _ in parts]),
        labels=(marks == PRESENT).astype(np.int8),
        doubted=marks == DIFFICULT,
        specs=ensemble(CLASSES),
        published_draws=True,
    )


def _split(root: Path, split: str) -> tuple[list[str], np.ndarray]:
    """Names of the photos of a split, sorted, and VOC's marks (N, 20) of their classes."""
    columns = [_column(root / "ImageSets" / "Main" / f"{key}_{split}.txt") for key in CLASSES]
    names = sorted(name for name in columns[0] if any(c.get(name) == PRESENT for c in columns))
    marks = [[column.get(name, -1) for column in columns] for name in names]
    return names, np.array(marks, dtype=np.int8).reshape(len(names), len(CLASSES))


def _column(file: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
        return {name: int(mark) for name, mark in lines}
    except (OSError, ValueError) as error:
        raise UnreadableData(f"{file} is not a list of photos and marks ({error})") from error

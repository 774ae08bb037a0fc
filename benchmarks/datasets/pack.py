"""What every data set becomes: photos, labels, a split; and the pack layout that Kizu imports.

The layout: `images/`, `labels.csv` (file, split, labels joined by |), `classes.tsv` (label and a
phrase that describes it) and, where labels are in doubt, `partial.csv` (file, partial_labels).
"""

import csv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from open_clip import OPENAI_IMAGENET_TEMPLATES
from PIL import Image

from benchmarks.locks import waiting_for
from worker.learning.aligner import LabelSpec
from worker.learning.dataset import Split, TrainingSet

Labels = NDArray[np.int8]
Rows = NDArray[np.int64]
TEST = "test"


class UnreadableData(Exception):
    """The folder or file is not in the layout that it was said to be in."""


@dataclass(frozen=True)
class Pack:
    """N photos with K labels each: `labels` (N, K) of 1 and 0, `test` (N,) the test split.

    `doubted` (N, K) marks cells that a strict score leaves out. With `published_draws` the seeds
    draw labelled photos as the code of CAP and D2L does, seed 0 the very ones of their tables.
    """

    name: str
    files: tuple[Path, ...]
    test: NDArray[np.bool_]
    labels: Labels
    doubted: NDArray[np.bool_]
    specs: tuple[LabelSpec, ...]
    published_draws: bool = False

    def photo(self, index: int) -> NDArray[np.uint8]:
        with Image.open(self.files[index]) as image:
            return np.asarray(image if image.mode == "L" else image.convert("RGB"))

    def order(self, seed: int) -> Rows:
        """The train photos in a drawn order: the first of them are those that keep labels."""
        rows = np.flatnonzero(~self.test)
        if self.published_draws:
            return rows[np.random.RandomState(1 + seed).permutation(len(rows))]
        return np.random.default_rng(seed).permutation(rows)


def ensemble(names: Mapping[str, str]) -> tuple[LabelSpec, ...]:
    """Labels by key, each described by its name in the 80 templates of CLIP's authors."""
    return tuple(
        LabelSpec(key, tuple(template(name) for template in OPENAI_IMAGENET_TEMPLATES))
        for key, name in names.items()
    )


def training_set(pack: Pack, labeled: Rows, validation: Rows) -> TrainingSet:
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


def read_folder(folder: Path) -> Pack:
    """A folder in the pack layout. Raises `UnreadableData`."""
    try:
        classes = _table(folder / "classes.tsv", "\t")
        rows = _table(folder / "labels.csv", ",")
        keys = [row["label"] for row in classes]
        return Pack(
            name=folder.name,
            files=tuple(folder / row["file"] for row in rows),
            test=np.array([row["split"] == TEST for row in rows]),
            labels=_cells([row["labels"] for row in rows], keys).astype(np.int8),
            doubted=_doubted(folder / "partial.csv", [row["file"] for row in rows], keys),
            specs=tuple(LabelSpec(row["label"], (row["phrase"],)) for row in classes),
        )
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise UnreadableData(f"{folder} is not in the pack layout: {error}") from error


def unpacked(path: Path, scratch: Path) -> Path:
    """The folder of a pack: itself, or what a zip holds, unpacked once below `scratch`."""
    if path.is_dir():
        return path
    if not path.exists():
        raise UnreadableData(f"there is no {path}")
    state = path.stat()
    target = scratch / f"{path.stem}-{state.st_size}-{int(state.st_mtime)}" / path.stem
    with waiting_for(scratch / f"{path.stem}.lock"):
        if not target.exists():
            _unzip(path, target)
    return target


def _unzip(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    try:
        with zipfile.ZipFile(path) as archive:
            root = next(Path(n).parent for n in archive.namelist() if Path(n).name == "labels.csv")
            archive.extractall(part)
    except (zipfile.BadZipFile, StopIteration) as error:
        raise UnreadableData(f"{path} is no zip of a pack") from error
    (part / root).replace(target)


def _table(file: Path, delimiter: str) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter=delimiter))


def _cells(listed: list[str], keys: list[str]) -> NDArray[np.bool_]:
    """(N, K): which keys stand in each list, joined by |."""
    cells = np.zeros((len(listed), len(keys)), dtype=bool)
    column = {key: k for k, key in enumerate(keys)}
    for row, names in enumerate(listed):
        for name in filter(None, names.split("|")):
            cells[row, column[name]] = True
    return cells


def _doubted(file: Path, photos: list[str], keys: list[str]) -> NDArray[np.bool_]:
    if not file.exists():
        return np.zeros((len(photos), len(keys)), dtype=bool)
    doubts = {row["file"]: row["partial_labels"] for row in _table(file, ",")}
    return _cells([doubts.get(photo, "") for photo in photos], keys)

"""Labelled photos to compare methods on: the pack layout, and the papers' own data sets.

Everything becomes a `Pack`; nothing here trains.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.datasets.coco import read_coco
from benchmarks.datasets.nus_wide import read_nus_wide
from benchmarks.datasets.pack import Pack, UnreadableData, read_folder, training_set, unpacked
from benchmarks.datasets.voc import read_voc

__all__ = ["LAYOUTS", "Pack", "UnreadableData", "read", "read_folder", "training_set"]

LAYOUTS: dict[str, Callable[[Path], Pack]] = {
    "voc2007": partial(read_voc, "VOC2007"),
    "voc2012": partial(read_voc, "VOC2012"),
    "coco2014": read_coco,
    "nus-wide": read_nus_wide,
}


def read(place: str, scratch: Path) -> Pack:
    """A folder or zip in the pack layout, or `voc2012:FOLDER` and the like.

    Zips are unpacked below `scratch`. Raises `UnreadableData`.
    """
    layout, colon, path = place.partition(":")
    if colon and layout in LAYOUTS:
        pack = LAYOUTS[layout](Path(path))
    else:
        pack = read_folder(unpacked(Path(place), scratch))
    missing = next((file for file in pack.files if not file.exists()), None)
    if missing is not None:
        raise UnreadableData(f"{place} lists {missing}, which is not there")
    if pack.test.all() or not pack.labels[pack.test].any():
        raise UnreadableData(f"{place} needs photos to train on, and test photos with labels")
    return pack

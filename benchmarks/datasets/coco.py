"""COCO 2014 as the archives unpack: `annotations/instances_*2014.json`, `train2014`, `val2014`.

train2014 is learned, val2014 is scored; photos without any annotated object are left out, which
leaves 82,081 and 40,137, as in CAP (NeurIPS 2023) and D2L (ECCV 2024).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.pack import Pack, UnreadableData, ensemble

SPLITS = ("train2014", "val2014")


def read_coco(path: Path) -> Pack:
    """COCO 2014 at `path`. A photo has the labels of its objects, crowds too.

    Raises `UnreadableData`.
    """
    try:
        documents = [_instances(path, split) for split in SPLITS]
        names = [category["name"] for category in documents[0]["categories"]]
        parts = [_split(document) for document in documents]
        files = [
            path / split / document_names[image]
            for split, (images, _, document_names) in zip(SPLITS, parts, strict=True)
            for image in images
        ]
    except (OSError, ValueError, KeyError) as error:
        raise UnreadableData(f"{path} is not laid out as COCO 2014: {error}") from error
    labels = np.concatenate([labels for _, labels, _ in parts])
    return Pack(
        name="coco2014",
        files=tuple(files),
        test=np.repeat([False, True], [len(images) for images, _, _ in parts]),
        labels=labels,
        doubted=np.zeros(labels.shape, dtype=bool),
        specs=ensemble({name: name for name in names}),
        published_draws=True,
    )


def _instances(path: Path, split: str) -> dict[str, Any]:
    file = path / "annotations" / f"instances_{split}.json"
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _split(document: dict[str, Any]) -> tuple[list[int], NDArray[np.int8], dict[int, str]]:
    """Image ids with an object, their labels (N, 80) by category, and the file of each id.

    Ids are sorted as text: that order decides which photos a published draw labels.
    """
    column = {category["id"]: k for k, category in enumerate(document["categories"])}
    pairs = {(object_["image_id"], object_["category_id"]) for object_ in document["annotations"]}
    images = sorted({image for image, _ in pairs}, key=str)
    row = {image: n for n, image in enumerate(images)}
    labels = np.zeros((len(images), len(column)), dtype=np.int8)
    for image, category in pairs:
        labels[row[image], column[category]] = 1
    return images, labels, {image["id"]: image["file_name"] for image in document["images"]}

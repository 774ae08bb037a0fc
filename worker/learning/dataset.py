"""What a training reads: photos, what people said about them, and which split they are in.

Where photos come from (a store, a folder) is the caller's business.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worker.learning.tiling import Size

Pixels = NDArray[np.uint8]
Photos = Callable[[int], Pixels]  # index to (H, W, 3) or (H, W)
Rows = NDArray[np.int64]
Half = NDArray[np.float16]


class Features(Protocol):
    """What a frozen backbone makes of photos, in views: 0 is the photo as it is, 1 to `strong` are
    strongly changed pictures of it."""

    @property
    def strong(self) -> int: ...

    def __call__(self, rows: Rows, views: Rows) -> tuple[Half, Half]:
        """Tokens (B, L, D) and pooled features (B, D) of the photos at `rows`, a view of each."""


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"  # labelled and never trained on: calibration, thresholds, metrics
    UNLABELED = "unlabeled"


@dataclass(frozen=True)
class FeaturesByPhoto:
    """Features read photo by photo: `read(row, view)` gives (L, D) and (D,)."""

    read: Callable[[int, int], tuple[Half, Half]]
    strong: int = 0

    def __call__(self, rows: Rows, views: Rows) -> tuple[Half, Half]:
        pairs = [self.read(int(row), int(view)) for row, view in zip(rows, views, strict=True)]
        return np.stack([tokens for tokens, _ in pairs]), np.stack([pooled for _, pooled in pairs])


class NotEnoughLabels(ValueError):
    """Training cannot start; the message says in a plain sentence what people have to add."""


@dataclass(frozen=True)
class TrainingSet:
    """Photos and labels. `labels` is (N, K): 1 present, 0 absent, -1 unknown.

    A photo comes as pixels from `photos(i)`, or as what the backbone makes of it from `features`;
    one of the two must be given. `sizes(i)` is the photo's height and width, where they can be had
    without its pixels. A photo of the train split without
    any known label counts as unlabeled.
    """

    keys: tuple[str, ...]
    labels: NDArray[np.int8]
    split: tuple[Split, ...]
    photos: Photos | None = None
    features: Features | None = None
    sizes: Callable[[int], Size] | None = None

    def __post_init__(self) -> None:
        if not len(self.keys) == len(self.labels) == len(self.split):
            raise ValueError("keys, labels and split must be of one length")
        if self.photos is None and self.features is None:
            raise ValueError("a training set needs photos or features")

    def size_of(self, index: int) -> Size | None:
        """Height and width of a photo; None where there are only features."""
        if self.sizes is not None:
            return self.sizes(index)
        return None if self.photos is None else self.photos(index).shape[:2]

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Indices of the photos that take part as `split`."""
        member = np.array([s is split for s in self.split], dtype=bool)
        known = (self.labels >= 0).any(axis=1)
        if split is Split.UNLABELED:
            untouched = np.array([s is Split.TRAIN for s in self.split], dtype=bool) & ~known
            return np.flatnonzero(member | untouched)
        return np.flatnonzero(member & known)

    def ensure_learnable(self, n_labels: int) -> None:
        """Raise `NotEnoughLabels` if no photo of the train split has a label, or there is none."""
        if len(self.rows(Split.TRAIN)) == 0:
            raise NotEnoughLabels(
                "No training photo has a label yet. Annotate at least one photo, then train again."
            )
        if not n_labels or self.labels.shape[1] != n_labels:
            raise NotEnoughLabels(
                "The project has no label to learn. Add a label, then train again."
            )

    def counts(self, keys: Sequence[str]) -> dict[str, Any]:
        """How many photos of each split, and what people said of each label, as JSON."""
        labeled = self.rows(Split.TRAIN)
        labels = self.labels[labeled]
        return {
            "labeled": len(labeled),
            "validation": len(self.rows(Split.VALIDATION)),
            "unlabeled": len(self.rows(Split.UNLABELED)),
            "labels": {
                key: {"present": int((column == 1).sum()), "absent": int((column == 0).sum())}
                for key, column in zip(keys, labels.T, strict=True)
            },
        }

    def fingerprint(self) -> str:
        """SHA-256 over keys, labels and splits: a checkpoint belongs to exactly one."""
        digest = hashlib.sha256(json.dumps([self.keys, self.split]).encode())
        digest.update(np.ascontiguousarray(self.labels, dtype=np.int8).tobytes())
        return digest.hexdigest()


def fit_photo(photo: Pixels, size: Size) -> Pixels:
    """A photo (H, W) or (H, W, 3) resized to `size`, height and width, with the same channels."""
    if photo.shape[:2] == size:
        return photo
    height, width = size
    filtering = Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(photo).resize((width, height), filtering))


def is_grey(photo: Pixels) -> bool:
    return photo.ndim == 2 or bool(
        (photo[..., 0] == photo[..., 1]).all() and (photo[..., 0] == photo[..., 2]).all()
    )

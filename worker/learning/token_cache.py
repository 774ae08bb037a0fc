"""What a frozen backbone makes of every photo, in several views, on disk in half precision.

Files are written in order and read by position, not through a memory map: pages of a map that a
training touched count as its memory, and all views of 10,000 photos are gigabytes.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from worker.learning.backbone import ImageFeatures
from worker.learning.dataset import Half, Rows
from worker.learning.draws import chunks
from worker.learning.plan import TrainingConfig

PHOTOS_AT_ONCE = 32

# Photos at some rows and the number of a view, 0 for the photo as it is, to features.
EncodeView = Callable[[Rows, int], ImageFeatures]


class CachedFeatures:
    """Features in files `tokens` (N, V, L, D) and `pooled` (N, V, D); view 0 is the photo."""

    def __init__(self, tokens: Path, pooled: Path) -> None:
        self._arrays = tuple(np.load(path, mmap_mode="r") for path in (tokens, pooled))

    @property
    def strong(self) -> int:
        return int(self._arrays[0].shape[1]) - 1

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays)

    def __call__(self, rows: Rows, views: Rows) -> tuple[Half, Half]:
        tokens, pooled = (_read(array, rows, views) for array in self._arrays)
        return tokens, pooled


def _read(array: np.memmap, rows: Rows, views: Rows) -> Half:
    """The entries (B, ...) of an array (N, V, ...) in a file."""
    result = np.empty((len(rows), *array.shape[2:]), array.dtype)
    with Path(str(array.filename)).open("rb", buffering=0) as file:
        for place, position in zip(result, rows * array.shape[1] + views, strict=True):
            file.seek(array.offset + int(position) * place.nbytes)
            file.readinto(place)
    return result


def cache_features(
    keys: tuple[str, ...],
    config: TrainingConfig,
    encode: EncodeView,
    folder: Path,
    *,
    backbone_version: str,
    on_photo: Callable[[int], None],
) -> CachedFeatures:
    """Features of all photos in `1 + config.strong_views` views, once.

    The names of the files say what decides their content: what an earlier call completed is used
    again. They take 2 V L D bytes a photo.
    """
    config_part = [config.resolution, config.precision, config.strong_views, config.seed]
    what = [keys, backbone_version, config_part, asdict(config.augmentation)]
    name = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    tokens, pooled = (folder / f"{part}-{name}.npy" for part in ("tokens", "pooled"))
    if not (tokens.exists() and pooled.exists()):
        _write((tokens, pooled), len(keys), 1 + config.strong_views, encode, on_photo)
    return CachedFeatures(tokens, pooled)


@torch.inference_mode()
def _write(
    paths: tuple[Path, Path],
    count: int,
    n_views: int,
    encode: EncodeView,
    on_photo: Callable[[int], None],
) -> None:
    parts = [path.with_suffix(".part") for path in paths]
    with parts[0].open("wb") as tokens, parts[1].open("wb") as pooled:
        for rows in chunks(np.arange(count), PHOTOS_AT_ONCE):
            views = [encode(rows, view) for view in range(n_views)]
            _append(tokens, torch.stack([view.tokens for view in views], dim=1), count)
            _append(pooled, torch.stack([view.pooled for view in views], dim=1), count)
            on_photo(int(rows[-1]))
    for part, path in zip(parts, paths, strict=True):
        part.replace(path)


def _append(file: BinaryIO, values: Tensor, count: int) -> None:
    """The next photos (b, V, ...) of `count`; the first ones bring the header."""
    halves = half(values)
    if file.tell() == 0:
        header = np.lib.format.header_data_from_array_1_0(halves)
        np.lib.format.write_array_header_1_0(
            file, {**header, "shape": (count, *halves.shape[1:]), "fortran_order": False}
        )
    file.write(np.ascontiguousarray(halves).data)


def half(values: Tensor) -> Half:
    """As caches keep them."""
    return values.half().cpu().numpy()

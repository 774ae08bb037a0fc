"""What a frozen backbone makes of every photo, in several views, on disk in half precision.

Files are read by position and not through a memory map: pages of a map that a training touched
count as its memory, and all views of 10,000 photos are gigabytes.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from worker.learning.backbone import ImageFeatures
from worker.learning.dataset import Half, Rows
from worker.learning.draws import chunks
from worker.learning.plan import TrainingConfig

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


def _read(array: np.memmap, rows: Rows, views: Rows) -> Half:  # type: ignore[type-arg]
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
    maps: list[NDArray[np.float16]] = []
    for rows in chunks(np.arange(count), 32):
        for view in range(n_views):
            features = encode(rows, view)
            both = [half(one) for one in (features.tokens, features.pooled)]
            maps = maps or [
                _new_map(part, (count, n_views), one) for part, one in zip(parts, both, strict=True)
            ]
            for cache, values in zip(maps, both, strict=True):
                cache[rows, view] = values
        on_photo(int(rows[-1]))
    for part, path in zip(parts, paths, strict=True):
        part.replace(path)


def half(values: torch.Tensor) -> Half:
    """As the cache keeps them."""
    return values.half().cpu().numpy()


def _new_map(path: Path, first: tuple[int, int], like: Half) -> NDArray[np.float16]:
    shape = (*first, *like.shape[1:])
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)

"""What a training reads: photos, what people said about them, and which split they are in.

Photos are decoded and resized once, into a memory-mapped array at training resolution. Where
photos come from (a store, a folder) is the caller's business.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from worker.learning.augment import Augmentation, View, augment
from worker.learning.backbone import ImageFeatures

Pixels = NDArray[np.uint8]
Photos = Callable[[int], Pixels]  # index to (H, W, 3) or (H, W)
Batch = Tensor | ImageFeatures  # pixels (B, 3, S, S), or what a frozen backbone makes of them
Features = Callable[[int], tuple[NDArray[np.floating], NDArray[np.floating]]]


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"  # labelled and never trained on: calibration, thresholds, metrics
    UNLABELED = "unlabeled"


class NotEnoughLabels(ValueError):
    """Training cannot start; the message says in a plain sentence what people have to add."""


@dataclass(frozen=True)
class TrainingSet:
    """Photos and labels. `labels` is (N, K): 1 present, 0 absent, -1 unknown.

    A photo comes as pixels from `photos(i)`, or as tokens (L, D) and pooled feature (D,) of the
    backbone from `features(i)`; one of the two must be given. A photo of the train split without
    any known label counts as unlabeled.
    """

    keys: tuple[str, ...]
    labels: NDArray[np.int8]
    split: tuple[Split, ...]
    photos: Photos | None = None
    features: Features | None = None

    def __post_init__(self) -> None:
        if not len(self.keys) == len(self.labels) == len(self.split):
            raise ValueError("keys, labels and split must be of one length")
        if self.photos is None and self.features is None:
            raise ValueError("a training set needs photos or features")

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Indices of the photos that take part as `split`."""
        member = np.array([s is split for s in self.split], dtype=bool)
        known = (self.labels >= 0).any(axis=1)
        if split is Split.UNLABELED:
            untouched = np.array([s is Split.TRAIN for s in self.split], dtype=bool) & ~known
            return np.flatnonzero(member | untouched)
        return np.flatnonzero(member & known)

    def fingerprint(self) -> str:
        """SHA-256 over keys, labels and splits: a checkpoint belongs to exactly one."""
        digest = hashlib.sha256(json.dumps([self.keys, self.split]).encode())
        digest.update(np.ascontiguousarray(self.labels, dtype=np.int8).tobytes())
        return digest.hexdigest()


def fit_photo(photo: Pixels, size: int) -> Pixels:
    """A photo (H, W) or (H, W, 3) resized to (size, size) with the same channels."""
    if photo.shape[:2] == (size, size):
        return photo
    filtering = Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(photo).resize((size, size), filtering))


def is_grey(photo: Pixels) -> bool:
    return photo.ndim == 2 or bool(
        (photo[..., 0] == photo[..., 1]).all() and (photo[..., 0] == photo[..., 2]).all()
    )


def decode_photos(
    photos: Photos, count: int, size: int, path: Path, *, on_photo: Callable[[int], None]
) -> Pixels:
    """All photos as a memory-mapped (N, C, size, size); C is 1 where a sample is all grey.

    A file that an earlier, interrupted call completed is used again.
    """
    if path.exists():
        stored = np.load(path, mmap_mode="r")
        if len(stored) == count and stored.shape[2] == size:
            return np.asarray(stored)
    sample = range(0, count, max(count // 32, 1))
    channels = 1 if all(is_grey(photos(index)) for index in sample) else 3
    part = path.with_suffix(".part")
    cache = np.lib.format.open_memmap(
        part, mode="w+", dtype=np.uint8, shape=(count, channels, size, size)
    )
    for index in range(count):
        cache[index] = _channels_first(fit_photo(photos(index), size), channels)
        on_photo(index)
    cache.flush()
    part.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))


def _channels_first(photo: Pixels, channels: int) -> Pixels:
    """(S, S) or (S, S, 3) to (channels, S, S)."""
    if channels == 1:
        grey = photo if photo.ndim == 2 else np.asarray(Image.fromarray(photo).convert("L"))
        return grey[None]
    if photo.ndim == 2:
        return np.repeat(photo[None], 3, axis=0)
    return photo.transpose(2, 0, 1)


class PhotoInputs:
    """Batches of photos for a backbone that is trained: views are made from pixels."""

    def __init__(self, pixels: Pixels, augmentation: Augmentation) -> None:
        self.pixels = pixels  # (N, C, S, S)
        self.augmentation = augmentation

    def batch(self, rows: NDArray[np.int64], view: View, generator: torch.Generator) -> Batch:
        """Views (B, 3, S, S) in 0..1 of the photos at `rows`."""
        pixels = torch.from_numpy(self.pixels[rows]).float() / 255
        pixels = augment(pixels, view, generator, self.augmentation)
        return pixels.expand(-1, 3, -1, -1)


class TokenInputs:
    """Batches of cached features for a frozen backbone: a strong view drops and blurs tokens."""

    def __init__(self, features: Features) -> None:
        self.features = features

    def batch(self, rows: NDArray[np.int64], view: View, generator: torch.Generator) -> Batch:
        """Features of the photos at `rows`: tokens (B, L, D), pooled (B, D)."""
        pairs = [self.features(int(row)) for row in rows]
        tokens = torch.from_numpy(np.stack([pair[0] for pair in pairs])).float()
        pooled = torch.from_numpy(np.stack([pair[1] for pair in pairs])).float()
        if view is View.STRONG:
            kept = torch.rand(tokens.shape[:2], generator=generator) >= 0.2
            noise = 0.1 * tokens.std() * torch.randn(tokens.shape, generator=generator)
            tokens = (tokens + noise) * kept[..., None]
        return ImageFeatures(tokens=tokens, pooled=pooled)


Inputs = PhotoInputs | TokenInputs


def appended(first: Batch, second: Batch) -> Batch:
    """One batch of both; they must be of one kind."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    assert isinstance(first, ImageFeatures)
    assert isinstance(second, ImageFeatures)
    return ImageFeatures(
        tokens=torch.cat([first.tokens, second.tokens]),
        pooled=torch.cat([first.pooled, second.pooled]),
    )


def chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def shuffled(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(rows)


def drawn(rows: NDArray[np.int64], start: int, count: int, *, seed: int) -> NDArray[np.int64]:
    """Entries `start` to `start + count` of an endless row of shuffles of `rows`.

    Every photo comes equally often, also where a batch is larger than the whole set.
    """
    first, last = start // len(rows), (start + count - 1) // len(rows)
    passes = [shuffled(rows, derive(seed, "pass", number)) for number in range(first, last + 1)]
    offset = start - first * len(rows)
    return np.concatenate(passes)[offset : offset + count]


def derive(seed: int, *what: str | int) -> int:
    """A seed of its own for each purpose: draws then need no state that a stop could lose."""
    digest = hashlib.sha256(json.dumps([seed, *what]).encode()).digest()
    return int.from_bytes(digest[:7])


def cache_features(
    inputs: PhotoInputs,
    encode: Callable[[Tensor], ImageFeatures],
    folder: Path,
    *,
    on_photo: Callable[[int], None],
) -> Features:
    """Features of every photo, once, in memory-mapped half precision: (N, L, D) and (N, D)."""
    paths = folder / "tokens.npy", folder / "pooled.npy"
    if not all(path.exists() for path in paths):
        _write_features(inputs, encode, paths, on_photo)
    tokens, pooled = (np.load(path, mmap_mode="r") for path in paths)
    return lambda index: (tokens[index], pooled[index])


@torch.inference_mode()
def _write_features(
    inputs: PhotoInputs,
    encode: Callable[[Tensor], ImageFeatures],
    paths: tuple[Path, Path],
    on_photo: Callable[[int], None],
) -> None:
    count, unused = len(inputs.pixels), torch.Generator()
    parts = [path.with_suffix(".part") for path in paths]
    maps: list[NDArray[np.float16]] = []
    for rows in chunks(np.arange(count), 32):
        batch = inputs.batch(rows, View.PLAIN, unused)
        assert isinstance(batch, Tensor)
        features = encode(batch)
        both = [t.half().cpu().numpy() for t in (features.tokens, features.pooled)]
        maps = maps or [
            np.lib.format.open_memmap(
                part, mode="w+", dtype=np.float16, shape=(count, *values.shape[1:])
            )
            for part, values in zip(parts, both, strict=True)
        ]
        for cache, values in zip(maps, both, strict=True):
            cache[rows] = values
        on_photo(int(rows[-1]))
    for part, path in zip(parts, paths, strict=True):
        part.replace(path)

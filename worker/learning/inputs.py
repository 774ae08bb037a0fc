"""What a training step reads: batches of views from decoded photos, or of cached tokens.

Photos are decoded and resized once, into a memory-mapped array at training resolution; tokens of
a frozen backbone are kept the same way. Where photos come from is the caller's business.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from worker.learning.augment import Augmentation, View, augment
from worker.learning.backbone import ImageFeatures
from worker.learning.dataset import Features, Photos, Pixels, TrainingSet, fit_photo, is_grey
from worker.learning.draws import chunks
from worker.learning.plan import Mode, TrainingConfig
from worker.learning.tiling import Size

Batch = Tensor | ImageFeatures  # pixels (B, 3, H, W), or what a frozen backbone makes of them


def decode_photos(
    photos: Photos, count: int, size: Size, path: Path, *, on_photo: Callable[[int], None]
) -> Pixels:
    """All photos as a memory-mapped (N, C, *size); C is 1 where a sample is all grey.

    A file that an earlier, interrupted call completed is used again.
    """
    if path.exists():
        stored = np.load(path, mmap_mode="r")
        if len(stored) == count and stored.shape[2:] == size:
            return np.asarray(stored)
    sample = range(0, count, max(count // 32, 1))
    channels = 1 if all(is_grey(photos(index)) for index in sample) else 3
    part = path.with_suffix(".part")
    cache = np.lib.format.open_memmap(
        part, mode="w+", dtype=np.uint8, shape=(count, channels, *size)
    )
    for index in range(count):
        cache[index] = _channels_first(fit_photo(photos(index), size), channels)
        on_photo(index)
    cache.flush()
    part.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))


def _channels_first(photo: Pixels, channels: int) -> Pixels:
    """(H, W) or (H, W, 3) to (channels, H, W)."""
    if channels == 1:
        grey = photo if photo.ndim == 2 else np.asarray(Image.fromarray(photo).convert("L"))
        return grey[None]
    if photo.ndim == 2:
        return np.repeat(photo[None], 3, axis=0)
    return photo.transpose(2, 0, 1)


class PhotoInputs:
    """Batches of photos for a backbone that is trained: views are made from pixels."""

    def __init__(self, pixels: Pixels, augmentation: Augmentation) -> None:
        self.pixels = pixels  # (N, C, H, W)
        self.augmentation = augmentation

    def batch(self, rows: NDArray[np.int64], view: View, generator: torch.Generator) -> Batch:
        """Views (B, 3, H, W) in 0..1 of the photos at `rows`."""
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


def prepare_inputs(
    dataset: TrainingSet,
    config: TrainingConfig,
    encode: Callable[[Tensor], ImageFeatures],
    workdir: Path,
    *,
    on_photo: Callable[[], None],
) -> Inputs:
    """Photos at training resolution, or cached tokens where the backbone stays frozen.

    `config` is a resolved one. Raises `ValueError` where photos are needed and there are none.
    """
    if config.mode is Mode.FROZEN and dataset.features is not None:
        return TokenInputs(dataset.features)
    if dataset.photos is None:
        raise ValueError("tuning the backbone needs photos, not only their features")
    height, width = size = config.grid.canvas
    pixels = decode_photos(
        dataset.photos,
        len(dataset.keys),
        size,
        workdir / f"photos-{height}x{width}.npy",
        on_photo=lambda _: on_photo(),
    )
    photos = PhotoInputs(pixels, config.augmentation)
    if config.mode is Mode.TUNE:
        return photos
    return TokenInputs(cache_features(photos, encode, workdir, on_photo=lambda _: on_photo()))


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

"""What a training step reads: batches of views from decoded photos, or of cached tokens.

Photos are decoded and resized once, into a memory-mapped array at training resolution; tokens of
a frozen backbone are kept the same way. Where photos come from is the caller's business.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from worker.learning.augment import Augmentation, Draws, View, augment
from worker.learning.backbone import ImageFeatures
from worker.learning.dataset import Features, Photos, Pixels, TrainingSet, fit_photo, is_grey
from worker.learning.draws import view_draws
from worker.learning.plan import Mode, Precision, TrainingConfig
from worker.learning.tiling import Size
from worker.learning.token_cache import cache_features

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

    def __init__(
        self, pixels: Pixels, augmentation: Augmentation, device: torch.device | str = "cpu"
    ) -> None:
        self.pixels = pixels  # (N, C, H, W)
        self.augmentation = augmentation
        self.device = device

    def batch(self, rows: NDArray[np.int64], view: View, draws: Draws) -> Tensor:
        """Views (B, 3, H, W) in 0..1 of the photos at `rows`."""
        # Bytes travel, a quarter of what floats would be; views are made where they are used.
        pixels = torch.from_numpy(self.pixels[rows]).to(self.device).float() / 255
        pixels = augment(pixels, view, draws, self.augmentation)
        return pixels.expand(-1, 3, -1, -1)


class TokenInputs:
    """Batches of cached features for a frozen backbone.

    A strong view is one of those that were made of the photo; where there are none, some tokens
    are dropped and all are blurred.
    """

    def __init__(self, features: Features, precision: Precision) -> None:
        self.features = features
        self.precision = precision

    def batch(self, rows: NDArray[np.int64], view: View, generator: torch.Generator) -> Batch:
        """Features of the photos at `rows`: tokens (B, L, D), pooled (B, D)."""
        strong, views = self.features.strong, np.zeros(len(rows), dtype=np.int64)
        if view is View.STRONG and strong:
            views = torch.randint(1, strong + 1, (len(rows),), generator=generator).numpy()
        tokens, pooled = (torch.from_numpy(x).float() for x in self.features(rows, views))
        if view is View.STRONG and not strong:
            tokens = _disturbed(tokens, generator)
        return ImageFeatures(tokens, pooled).at_precision(self.precision is Precision.BF16)


def _disturbed(tokens: Tensor, generator: torch.Generator) -> Tensor:
    kept = torch.rand(tokens.shape[:2], generator=generator) >= 0.2
    noise = 0.1 * tokens.std() * torch.randn(tokens.shape, generator=generator)
    return (tokens + noise) * kept[..., None]


Inputs = PhotoInputs | TokenInputs


def prepare_inputs(
    dataset: TrainingSet,
    config: TrainingConfig,
    encode: Callable[[Tensor], ImageFeatures],
    workdir: Path,
    *,
    backbone_version: str,
    device: torch.device | str = "cpu",
    on_photo: Callable[[], None],
) -> Inputs:
    """Photos at training resolution, or cached tokens where the backbone stays frozen.

    `config` is a resolved one; views are made on `device`. Raises `ValueError` where photos are
    needed and there are none.
    """
    if config.mode is Mode.FROZEN and dataset.features is not None:
        return TokenInputs(dataset.features, config.precision)
    if dataset.photos is None:
        raise ValueError("tuning the backbone needs photos, not only their features")
    pixels = decode_photos(
        dataset.photos,
        len(dataset.keys),
        config.grid.canvas,
        photos_file(workdir, config),
        on_photo=lambda _: on_photo(),
    )
    photos = PhotoInputs(pixels, config.augmentation, device)
    if config.mode is Mode.TUNE:
        return photos
    features = cache_features(
        dataset.keys,
        config,
        lambda rows, number: encode(
            _numbered_view(photos, dataset.keys, rows, number, config.seed)
        ),
        workdir,
        backbone_version=backbone_version,
        on_photo=lambda _: on_photo(),
    )
    return TokenInputs(features, config.precision)


def photos_file(workdir: Path, config: TrainingConfig) -> Path:
    """Where the decoded photos of a training lie."""
    height, width = config.grid.canvas
    return workdir / f"photos-{height}x{width}.npy"


def _numbered_view(
    photos: PhotoInputs, keys: Sequence[str], rows: NDArray[np.int64], number: int, seed: int
) -> Tensor:
    """View `number` of the photos at `rows`; its draws follow from seed and photo alone."""
    if number == 0:
        return photos.batch(rows, View.PLAIN, torch.Generator())
    draws = [view_draws(seed, keys[row], number) for row in rows]
    return photos.batch(rows, View.STRONG, draws)


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


def taken(batch: Batch, positions: NDArray[np.int64]) -> Batch:
    """Some photos of a batch."""
    index = torch.from_numpy(positions)
    if isinstance(batch, Tensor):
        return batch[index]
    return ImageFeatures(tokens=batch.tokens[index], pooled=batch.pooled[index])

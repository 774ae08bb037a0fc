"""Features of photos by a frozen backbone: from the token store, else computed and kept there."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from worker.engine.feature_store import FeatureStore, Half, Kind
from worker.engine.photos import PhotoReader
from worker.learning.augment import View, augment
from worker.learning.backbone import Backbone, ImageFeatures
from worker.learning.draws import view_draws
from worker.learning.plan import Precision, TrainingConfig
from worker.learning.predictor import as_pixels
from worker.learning.token_cache import half
from worker.learning.views import encode_views

BATCH = 32


class FrozenFeatures:
    """Tokens and pooled feature of views of a photo, by the SHA-256 of its content.

    View 0 is the photo as it is, 1 to `config.strong_views` are strongly changed; `config` is a
    resolved one.
    """

    def __init__(
        self, store: FeatureStore, backbone: Backbone, config: TrainingConfig, photos: PhotoReader
    ) -> None:
        self.store, self.backbone, self.config, self.photos = store, backbone, config, photos
        self.kinds = _kinds(backbone, config)

    def __call__(self, sha256: str, view: int = 0) -> tuple[Half, Half]:
        """A view's features; computed again where they were evicted."""
        stored = self.store.get(self.kinds[view], sha256)
        if stored is not None:
            return stored
        self._compute([sha256], view)
        again = self.store.get(self.kinds[view], sha256)
        assert again is not None, "a shard outlives the moment of its making"
        return again

    def fill(self, contents: Sequence[str], *, before_batch: Callable[[float], None]) -> None:
        """Compute what is missing, once; `before_batch` is told the share that is done."""
        missing = [one for one in contents if any(self._misses(one, kind) for kind in self.kinds)]
        for first in range(0, len(missing), BATCH):
            before_batch(first / len(missing))
            batch = missing[first : first + BATCH]
            pixels = self._pixels(batch)
            for view in range(len(self.kinds)):
                self._keep(batch, pixels, view)

    def bytes_per_photo(self, sha256: str) -> int:
        """Of all views together."""
        tokens, pooled = self(sha256)
        return len(self.kinds) * (tokens.nbytes + pooled.nbytes)

    def _misses(self, sha256: str, kind: Kind) -> bool:
        return self.store.get(kind, sha256) is None

    def _compute(self, contents: Sequence[str], view: int) -> None:
        self._keep(contents, self._pixels(contents), view)

    def _pixels(self, contents: Sequence[str]) -> Tensor:
        canvas = self.config.grid.canvas
        return torch.stack([as_pixels(self.photos(one), canvas) for one in contents])

    @torch.inference_mode()
    def _keep(self, contents: Sequence[str], pixels: Tensor, view: int) -> None:
        """Encode one view of photos (B, 3, H, W) and store it."""
        if view > 0:
            pixels = torch.cat(
                [self._changed(*photo, view) for photo in zip(contents, pixels, strict=True)]
            )
        features = self._encode(pixels)
        tokens, pooled = half(features.tokens), half(features.pooled)
        for row, sha256 in enumerate(contents):
            self.store.put(self.kinds[view], sha256, tokens[row], pooled[row])

    def _changed(self, sha256: str, photo: Tensor, view: int) -> Tensor:
        """A strong view (1, 3, S, S) of a photo (3, S, S); grey photos stay grey."""
        grey = bool((photo == photo[:1]).all())
        draws = view_draws(self.config.seed, sha256, view)
        channels = photo[None, :1] if grey else photo[None]
        return augment(channels, View.STRONG, draws, self.config.augmentation).expand(1, 3, -1, -1)

    def _encode(self, pixels: Tensor) -> ImageFeatures:
        device = next(self.backbone.parameters()).device
        bf16 = self.config.precision is Precision.BF16
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            return encode_views(self.backbone.encode_image, pixels.to(device), self.config.grid)


def _kinds(backbone: Backbone, config: TrainingConfig) -> list[Kind]:
    """The photo as it is, then its strong views, each with what its draws follow from."""
    plain = Kind(backbone.version, config.grid, config.precision)
    how = json.dumps([config.seed, dataclasses.asdict(config.augmentation)])
    name = hashlib.sha256(how.encode()).hexdigest()[:8]
    numbers = range(1, config.strong_views + 1)
    return [plain, *(dataclasses.replace(plain, view=f"{name}-{n}") for n in numbers)]

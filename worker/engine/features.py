"""Features of photos by a frozen backbone: from the token store, else computed and kept there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from worker.engine.feature_store import FeatureStore, Half, Kind
from worker.engine.photos import PhotoReader
from worker.learning.backbone import Backbone, ImageFeatures
from worker.learning.plan import Precision
from worker.learning.predictor import as_pixels
from worker.learning.views import encode_views

BATCH = 32


@dataclass(frozen=True)
class FrozenFeatures:
    """Tokens and pooled feature of a photo by the SHA-256 of its content."""

    store: FeatureStore
    backbone: Backbone
    kind: Kind
    photos: PhotoReader

    def __call__(self, sha256: str) -> tuple[Half, Half]:
        """A photo's features; computed again where they were evicted."""
        stored = self.store.get(self.kind, sha256)
        if stored is not None:
            return stored
        self._compute([sha256])
        again = self.store.get(self.kind, sha256)
        assert again is not None, "a shard outlives the moment of its making"
        return again

    def fill(self, contents: Sequence[str], *, before_batch: Callable[[float], None]) -> None:
        """Compute what is missing, once; `before_batch` is told the share that is done."""
        missing = [sha256 for sha256 in contents if self.store.get(self.kind, sha256) is None]
        for first in range(0, len(missing), BATCH):
            before_batch(first / len(missing))
            self._compute(missing[first : first + BATCH])

    def bytes_per_photo(self, sha256: str) -> int:
        tokens, pooled = self(sha256)
        return tokens.nbytes + pooled.nbytes

    @torch.inference_mode()
    def _compute(self, contents: Sequence[str]) -> None:
        features = self._encode(
            torch.stack([as_pixels(self.photos(one), self.kind.grid.canvas) for one in contents])
        )
        tokens = features.tokens.half().cpu().numpy()
        pooled = features.pooled.half().cpu().numpy()
        for row, sha256 in enumerate(contents):
            self.store.put(self.kind, sha256, tokens[row], pooled[row])

    def _encode(self, pixels: torch.Tensor) -> ImageFeatures:
        device = next(self.backbone.parameters()).device
        bf16 = self.kind.precision == Precision.BF16
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            return encode_views(self.backbone.encode_image, pixels.to(device), self.kind.grid)

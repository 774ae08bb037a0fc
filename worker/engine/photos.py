"""Photos from the blob store as pixels, for learning.

Nothing is kept here: a training keeps its photos resized, a prediction sees each photo once.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.storage import ObjectStore
from app.images.blobs import blob_key
from worker.imaging.decode import Photo, decode
from worker.learning.tiling import Size


@dataclass(frozen=True)
class PhotoReader:
    """Decodes originals to arrays (H, W) or (H, W, 3), upright, 8 bits.

    A JPEG may come smaller, with its longer side still `at_least` pixels long.
    """

    store: ObjectStore
    max_pixels: int
    at_least: int | None

    def __call__(self, sha256: str) -> NDArray[np.uint8]:
        return np.asarray(self._decode(sha256, self.at_least).picture)

    def size(self, sha256: str) -> Size:
        """Height and width of the original."""
        photo = self._decode(sha256, at_least=1)
        return photo.height, photo.width

    def _decode(self, sha256: str, at_least: int | None) -> Photo:
        content = io.BytesIO(self.store.get(blob_key(sha256)))
        return decode(content, max_pixels=self.max_pixels, at_least=at_least)

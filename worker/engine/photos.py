"""Photos from the blob store as pixels, for learning.

Nothing is kept here: a training keeps its photos resized, a prediction sees each photo once.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.storage import ObjectStore
from app.images.blobs import blob_key
from worker.imaging.decode import decode


@dataclass(frozen=True)
class PhotoReader:
    """Decodes originals to arrays (H, W) or (H, W, 3), upright, 8 bits.

    A JPEG may come smaller, with its longer side still `at_least` pixels long.
    """

    store: ObjectStore
    max_pixels: int
    at_least: int | None

    def __call__(self, sha256: str) -> NDArray[np.uint8]:
        content = io.BytesIO(self.store.get(blob_key(sha256)))
        photo = decode(content, max_pixels=self.max_pixels, at_least=self.at_least)
        return np.asarray(photo.picture)

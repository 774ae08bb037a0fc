"""Small pictures of a photo for people to look at. Nothing is ever enlarged."""

import io

import numpy as np
from PIL import Image as Pillow

from worker.imaging.tone import to_sixteen_bits

QUALITY = 88


def jpeg(picture: Pillow.Image, *, longest_side: int) -> bytes:
    """A JPEG whose longer side has at most `longest_side` pixels, at full colour resolution."""
    small = picture.copy()
    small.thumbnail((longest_side, longest_side), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def deep_png(greys: Pillow.Image, *, longest_side: int) -> bytes:
    """Greys of 16 bits in a PNG that every browser reads exactly: red their high byte, green their
    low byte. Mode I, I;16* or F; at most `longest_side` pixels on the longer side."""
    small = Pillow.fromarray(np.asarray(greys).astype(np.float32))
    small.thumbnail((longest_side, longest_side), Pillow.Resampling.BOX)
    values = to_sixteen_bits(np.asarray(small))  # (height, width)
    packed = np.zeros((*values.shape, 3), dtype=np.uint8)
    packed[..., 0], packed[..., 1] = values >> 8, values & 0xFF
    file = io.BytesIO()
    Pillow.fromarray(packed).save(file, "PNG")
    return file.getvalue()

"""Small JPEGs of a photo for people to look at. Nothing is ever enlarged."""

import io

from PIL import Image as Pillow

QUALITY = 88


def jpeg(picture: Pillow.Image, *, longest_side: int) -> bytes:
    """A JPEG whose longer side has at most `longest_side` pixels, at full colour resolution."""
    small = picture.copy()
    small.thumbnail((longest_side, longest_side), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()

"""The perceptual hash: near-duplicates differ in few of its 64 bits."""

import imagehash
from PIL import Image as Pillow


def perceptual_hash(picture: Pillow.Image) -> int:
    """64 bits of the low frequencies (DCT), as the signed integer a database column holds."""
    small = picture.copy()
    small.thumbnail((256, 256), reducing_gap=3.0)  # the hash looks at 32 × 32 in the end
    unsigned = int(str(imagehash.phash(small)), 16)
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


def distance(one: int, other: int) -> int:
    """Bits in which two hashes differ, 0 to 64."""
    return ((one ^ other) & (2**64 - 1)).bit_count()

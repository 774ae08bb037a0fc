"""Deep greys (10 to 32 bits) to 8 bits: the window that holds the pixels, stretched.

Industrial cameras often store 10 or 12 bits in 16; a plain division by 256 would leave such
pictures almost black, and a plain conversion clips them to white.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

TAILS_PERCENT = 0.1  # dead and hot pixels on either side do not widen the window
LARGEST_SAMPLE = 1_000_000
DEEPEST = 2**16 - 1


def to_eight_bits(image: Pillow.Image) -> Pillow.Image:
    """Mode I, I;16* or F to mode L."""
    values = np.asarray(image)  # (height, width)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, high = window(values)
    if values.dtype.itemsize == 2:
        return Pillow.fromarray(_curve(low, high)[values.astype(np.uint16, copy=False)])
    scaled = (values.astype(np.float32) - low) * _gain(low, high)
    return Pillow.fromarray(np.clip(scaled, 0, 255).round().astype(np.uint8))


def to_sixteen_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Greys (height, width) as they are where they fit 16 bits, else stretched over them."""
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > DEEPEST or high <= 1:
        values = (values - low) * (DEEPEST / (high - low) if high > low else 0.0)
    return values.round().astype(np.uint16)


def window(values: NDArray[np.generic]) -> tuple[float, float]:
    """The values that become black and white: all but the tails lie between them."""
    flat = values.ravel()
    sample = flat[:: max(1, flat.size // LARGEST_SAMPLE)].astype(np.float64)
    low, high = np.percentile(sample, [TAILS_PERCENT, 100 - TAILS_PERCENT])
    return float(low), float(high)


def _curve(low: float, high: float) -> NDArray[np.uint8]:
    """A table over all 65,536 values: far less memory than floating-point pixels."""
    levels = (np.arange(2**16, dtype=np.float64) - low) * _gain(low, high)
    return np.clip(levels, 0, 255).round().astype(np.uint8)


def _gain(low: float, high: float) -> float:
    return 255.0 / (high - low) if high > low else 0.0

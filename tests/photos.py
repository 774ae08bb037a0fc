"""Photos as files: ordinary, odd and hostile ones, made from a seed. No downloads."""

import io
import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as Pillow

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
ORIENTATIONS = range(1, 9)
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"


def noise(seed: int = 0, *, width: int = 64, height: int = 48) -> Pillow.Image:
    """Colours without any order: no two seeds look or hash alike."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Pillow.fromarray(values)


def surface(seed: int = 0, *, width: int = 320, height: int = 240) -> Pillow.Image:
    """A few large, soft shapes, as photos have them: what a perceptual hash is made for."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8), dtype=np.uint8)
    return Pillow.fromarray(coarse).resize((width, height), Pillow.Resampling.BICUBIC)


def encoded(picture: Pillow.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def photo(seed: int = 0, kind: str = "PNG") -> bytes:
    """A small, sound file that no other seed equals."""
    return encoded(noise(seed), kind)


def deep(seed: int = 0, *, bits: int = 12) -> NDArray[np.uint16]:
    """Grey values of an industrial camera: `bits` significant ones in 16."""
    return np.random.default_rng(seed).integers(0, 2**bits, (48, 64), dtype=np.uint16)


def frames(kind: str, *colours: str) -> bytes:
    """A file of several pictures: an animation, or the pages of a TIFF."""
    first, *others = (Pillow.new("RGB", (20, 10), colour) for colour in colours)
    lossless = {"lossless": True} if kind == "WEBP" else {}
    return encoded(first, kind, save_all=True, append_images=others, **lossless)


def corners() -> Pillow.Image:
    """Wider than high, with another grey in every corner: no turn or flip looks the same."""
    values = np.zeros((32, 64), dtype=np.uint8)
    values[:16, :32], values[:16, 32:], values[16:, :32] = 240, 160, 80
    return Pillow.fromarray(values)


def turned(orientation: int, kind: str = "PNG") -> bytes:
    """`corners()` as a camera held differently stores it: upright only with its EXIF."""
    T = Pillow.Transpose
    stored = {
        1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM,
        5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270,
    }[orientation]  # fmt: skip
    picture = corners() if stored is None else corners().transpose(stored)
    exif = Pillow.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(picture, kind, exif=exif)


def dated(taken: str, zone: str | None = None, kind: str = "JPEG") -> bytes:
    """A photo whose EXIF says when it was taken."""
    exif = Pillow.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = taken
    if zone is not None:
        details[ExifTags.Base.OffsetTimeOriginal] = zone
    return encoded(noise(), kind, exif=exif)


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a hundred bytes that claims to unfold to gigabytes."""
    return _png(width, height, 8, zlib.compress(bytes(1000)))


def huge(width: int = 20_000, height: int = 10_000) -> bytes:
    """A sound 200-megapixel photo, black and white: its file is small, its pixels are not."""
    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return _png(width, height, 1, pixels)


def _png(width: int, height: int, bit_depth: int, pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bit_depth, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def grown_memory(setup: str, action: str) -> int:
    """Bytes by which `action` raises the peak memory of a fresh process after `setup`."""
    peak = "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss"
    script = f"import resource\n{setup}\nbefore = {peak}\n{action}\nprint({peak} - before)"
    child = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    return int(child.stdout) * unit

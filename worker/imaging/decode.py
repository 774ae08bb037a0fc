"""Any accepted file to an upright 8-bit grey or RGB picture, or a plain reason why not.

Animated files and multi-page TIFFs give their first frame. The limit on pixels is checked on the
header, before a decompression bomb can unfold.
"""

import re
import warnings
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO

from PIL import ExifTags, ImageOps, UnidentifiedImageError
from PIL import Image as Pillow

from worker.imaging.tone import to_eight_bits

# Our own limit is checked instead; Pillow's would only warn below twice its value.
Pillow.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
DEEP_MODES = ("I", "F")  # and every mode that starts with "I;16"
TURNED_BY_90_DEGREES = frozenset({5, 6, 7, 8})


class Flaw(StrEnum):
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"


class Undecodable(Exception):
    """The file is no picture that can be used; `flaw` says why, for machines."""

    def __init__(self, flaw: Flaw, detail: str) -> None:
        super().__init__(detail)
        self.flaw = flaw
        self.detail = detail


@dataclass(frozen=True)
class Photo:
    """A decoded picture (mode L or RGB, upright) and what its file said.

    `width` and `height` are those of the file, upright, even when `picture` is smaller.
    `taken_at` has no zone unless the camera wrote one. `greys` is the picture before its greys were
    made 8 bits, None where it had no more.
    """

    picture: Pillow.Image
    width: int
    height: int
    bit_depth: int
    frames: int
    taken_at: datetime | None
    greys: Pillow.Image | None = None


def decode(source: Path | IO[bytes], *, max_pixels: int, at_least: int | None = None) -> Photo:
    """Read a picture whole. Raises `Undecodable`.

    With `at_least`, a JPEG may come smaller, with its longer side still at least that long:
    it is then unpacked at a fraction of the time and memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(source, max_pixels, at_least)
    except UnidentifiedImageError as error:
        raise Undecodable(Flaw.UNSUPPORTED, "No accepted format, or a broken header.") from error
    except (Undecodable, MemoryError):
        raise
    # Pillow raises many kinds of errors on broken files; all mean the same here.
    except Exception as error:
        raise Undecodable(Flaw.CORRUPT, f"The pixels cannot be read ({error}).") from error


def _decode(source: Path | IO[bytes], max_pixels: int, at_least: int | None) -> Photo:
    with Pillow.open(source, formats=FORMATS) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise Undecodable(
                Flaw.TOO_LARGE, f"{width} × {height} pixels; {max_pixels:,} are allowed."
            )
        bit_depth = _bit_depth(image)
        frames = getattr(image, "n_frames", 1)
        exif = _exif(image)
        turned = exif.get(ExifTags.Base.Orientation) in TURNED_BY_90_DEGREES
        if turned and image.format != "TIFF":  # Pillow gives a TIFF's size upright already
            width, height = height, width
        taken_at = _taken_at(exif)
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        image.load()
        if exif:
            ImageOps.exif_transpose(image, in_place=True)
        picture = _flatten(image)
        greys = image.copy() if _is_deep(image) else None
    return Photo(picture, width, height, bit_depth, frames, taken_at, greys)


def _exif(image: Pillow.Image) -> Pillow.Exif:
    """What the camera wrote. Where it cannot be read, that costs the date, not the photo."""
    try:
        return image.getexif()
    # Pillow raises many kinds of errors on broken files.
    except Exception:
        return Pillow.Exif()


def _bit_depth(image: Pillow.Image) -> int:
    if image.mode == "1":
        return 1
    if image.mode in DEEP_MODES:
        return 32
    if image.mode.startswith("I;16"):
        return 16
    # Colour of 16 bits a channel is read as 8; only the raw mode still tells.
    return 16 if re.search(r";16", str(getattr(image, "tile", ""))) else 8


def _is_deep(image: Pillow.Image) -> bool:
    return image.mode in DEEP_MODES or image.mode.startswith("I;16")


def _flatten(image: Pillow.Image) -> Pillow.Image:
    """Grey or RGB, 8 bits, opaque: transparent pixels lie on white."""
    if _is_deep(image):
        return to_eight_bits(image)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Pillow.new("RGBA", picture.size, "white")
        white.alpha_composite(picture)
        return white.convert("RGB")
    if image.mode in {"1", "L"}:
        return image.convert("L")
    return image.convert("RGB")


def _taken_at(exif: Pillow.Exif) -> datetime | None:
    details = exif.get_ifd(ExifTags.IFD.Exif)
    text = details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    zone = details.get(ExifTags.Base.OffsetTimeOriginal) or ""
    for pattern, candidate in (("%Y:%m:%d %H:%M:%S%z", f"{text}{zone}"), (_LOCAL, str(text))):
        try:
            return datetime.strptime(candidate.strip("\0 "), pattern)  # noqa: DTZ007
        except ValueError:
            continue
    return None


_LOCAL = "%Y:%m:%d %H:%M:%S"

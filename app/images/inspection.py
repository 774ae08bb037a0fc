"""What the first bytes of a file say: its true type and size, before anything is decoded.

The name of a file proves nothing, so the type comes from its magic bytes. Whether the pixels are
whole is found out later, by the worker that decodes them.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from PIL import Image as Pillow

from app.core.errors import Invalid

# Kizu has a limit of its own, checked before pixels are decoded; Pillow's would only warn.
Pillow.MAX_IMAGE_PIXELS = None

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
)
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "WEBP": "image/webp",
}


class Reason(StrEnum):
    """Why a photo was not accepted."""

    EMPTY = "empty"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    CORRUPT = "corrupt"


class ImageRejected(Invalid):
    """This file cannot become an image of a project; `reason` says why, for machines."""

    code, title = "image-rejected", "This file is not accepted"

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail, reason=reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Header:
    """Width and height in pixels, as stored: EXIF may still turn them."""

    media_type: str
    width: int
    height: int


def inspect(path: Path, *, max_pixels: int) -> Header:
    """The header of a photo. Raises `ImageRejected` for anything that is none."""
    with path.open("rb") as file:
        kind = _kind(file.read(16))
    width, height = _size(path, kind)
    if width * height > max_pixels:
        raise ImageRejected(
            Reason.TOO_LARGE,
            f"The photo has {width} × {height} pixels; {max_pixels:,} are allowed.",
        )
    return Header(MEDIA_TYPES[kind], width, height)


def _kind(beginning: bytes) -> str:
    if not beginning:
        raise ImageRejected(Reason.EMPTY, "The file is empty.")
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return "WEBP"
    for signature, kind in SIGNATURES:
        if beginning.startswith(signature):
            return kind
    raise ImageRejected(
        Reason.UNSUPPORTED, "The file is none of JPEG, PNG, TIFF, BMP and WebP, whatever its name."
    )


def _size(path: Path, kind: str) -> tuple[int, int]:
    try:
        with Pillow.open(path, formats=(kind,)) as image:
            return image.size
    # Pillow raises many kinds of errors on hostile headers; all mean the same here.
    except Exception as error:
        raise ImageRejected(Reason.CORRUPT, f"The {kind} header cannot be read.") from error

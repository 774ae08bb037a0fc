"""The first bytes decide what a file is, whatever its name, and before anything unfolds."""

import pytest

from app.images.inspection import MEDIA_TYPES, Header, ImageRejected, Reason, inspect
from tests import photos

MAX_PIXELS = 150_000_000
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")


@pytest.fixture
def look(tmp_path):
    """A function that inspects these bytes under a name that proves nothing."""

    def look(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
        path = tmp_path / "photo.jpg"
        path.write_bytes(content)
        return inspect(path, max_pixels=max_pixels)

    return look


@pytest.fixture
def reason_of(look):
    def reason_of(content: bytes, **limits) -> Reason:
        with pytest.raises(ImageRejected) as error:
            look(content, **limits)
        assert error.value.status == 422
        assert error.value.extra == {"reason": error.value.reason.value}
        return error.value.reason

    return reason_of


@pytest.mark.parametrize("kind", photos.FORMATS)
def test_every_accepted_format_is_known_by_its_bytes(look, kind):
    assert look(photos.photo(kind=kind)) == Header(MEDIA_TYPES[kind], 64, 48)


@pytest.mark.parametrize("options", [{"big_tiff": True}, {"compression": "tiff_lzw"}])
def test_kinds_of_tiff(look, options):
    content = photos.encoded(photos.noise(), "TIFF", **options)
    assert look(content) == Header("image/tiff", 64, 48)


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "TIFF"])
def test_animations_and_pages_are_accepted(look, kind):
    assert look(photos.frames(kind, "red", "blue")) == Header(MEDIA_TYPES[kind], 20, 10)


def test_an_empty_file_is_empty(reason_of):
    assert reason_of(b"") is Reason.EMPTY


@pytest.mark.parametrize(
    "content",
    [photos.PDF, photos.frames("GIF", "red", "blue"), b"RIFF\0\0\0\0WAVE", b"\xff", b"<svg/>"],
    ids=["pdf", "gif", "wave", "one byte", "svg"],
)
def test_what_is_renamed_is_unsupported(reason_of, content):
    assert reason_of(content) is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    "content",
    [b"BMW is no bitmap", b"RIFF\0\0\0\0WEBPVP8 ", b"\xff\xd8\xff\xe0", b"II*\0\xff\xff\xff\xff"],
    ids=["bmp", "webp", "jpeg", "tiff"],
)
def test_a_signature_without_a_header_is_corrupt(reason_of, content):
    assert reason_of(content) is Reason.CORRUPT


@pytest.mark.parametrize("kind", photos.FORMATS)
def test_a_file_cut_off_within_its_header_is_corrupt(reason_of, kind):
    assert reason_of(photos.photo(kind=kind)[:20]) is Reason.CORRUPT


def test_pixels_are_left_to_the_worker(look):
    content = photos.photo(kind="JPEG")
    assert look(content[:-500]) == Header("image/jpeg", 64, 48)


@pytest.mark.parametrize("orientation", [1, 6])
def test_size_is_that_of_the_file_not_turned_by_exif(look, orientation):
    stored = (64, 32) if orientation == 1 else (32, 64)
    header = look(photos.turned(orientation))
    assert (header.width, header.height) == stored


def test_a_decompression_bomb_is_too_large(reason_of):
    assert reason_of(photos.bomb()) is Reason.TOO_LARGE


def test_the_limit_itself_is_allowed(look, reason_of):
    assert look(photos.photo(), max_pixels=64 * 48).width == 64
    assert reason_of(photos.photo(), max_pixels=64 * 48 - 1) is Reason.TOO_LARGE


def test_two_hundred_megapixels_are_refused_without_unfolding_them(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(photos.huge())
    grown = photos.grown_memory(
        "from pathlib import Path\nfrom app.images.inspection import *\n"
        f"path = Path({str(path)!r})\n"
        "def reason(limit):\n    try: inspect(path, max_pixels=limit)\n"
        "    except ImageRejected as error: return error.reason",
        f"assert reason({MAX_PIXELS}) is Reason.TOO_LARGE",
    )
    assert grown < 20 * 2**20

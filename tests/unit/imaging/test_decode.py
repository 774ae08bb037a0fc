"""What is read from files as cameras, programs and accidents leave them."""

import io
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Pillow

from tests import photos
from worker.imaging.decode import Flaw, Photo, Undecodable, decode

MAX_PIXELS = 150_000_000
WITHOUT_ZONE = datetime.fromisoformat("2026-11-05T08:09:10")


def read(content: bytes, **options) -> Photo:
    return decode(io.BytesIO(content), **{"max_pixels": MAX_PIXELS, **options})


def flaw_of(content: bytes, **options) -> Flaw:
    with pytest.raises(Undecodable) as error:
        read(content, **options)
    assert error.value.detail.endswith(".")
    return error.value.flaw


@pytest.mark.parametrize("kind", photos.FORMATS)
def test_every_accepted_format_is_read(kind):
    photo = read(photos.photo(kind=kind))
    assert (photo.picture.mode, photo.picture.size) == ("RGB", (64, 48))
    assert (photo.width, photo.height, photo.bit_depth, photo.frames) == (64, 48, 8, 1)
    assert photo.taken_at is None


def test_a_file_is_read_by_its_path(tmp_path):
    path = tmp_path / "no-suffix"
    path.write_bytes(photos.photo())
    assert np.array_equal(decode(path, max_pixels=MAX_PIXELS).picture, photos.noise())


@pytest.mark.parametrize("kind", ["GIF", "PPM", "ICO"])
def test_other_formats_are_unsupported(kind):
    assert flaw_of(photos.photo(kind=kind)) is Flaw.UNSUPPORTED


@pytest.mark.parametrize("content", [b"", photos.PDF, b"BM", b"\xff\xd8\xff"])
def test_what_is_no_photo_is_unsupported(content):
    assert flaw_of(content) is Flaw.UNSUPPORTED


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", photos.FORMATS)
def test_a_truncated_file_is_corrupt(kind, share):
    content = photos.photo(kind=kind)
    assert flaw_of(content[: int(len(content) * share)]) is Flaw.CORRUPT


def test_cmyk_becomes_rgb():
    red = Pillow.new("RGB", (16, 16), (220, 30, 40)).convert("CMYK")
    picture = read(photos.encoded(red, "JPEG", quality=95)).picture
    assert picture.mode == "RGB"
    assert np.abs(np.asarray(picture).astype(int) - (220, 30, 40)).max() < 12


def test_a_palette_is_resolved_and_its_transparent_colour_lies_on_white():
    palette = Pillow.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    picture = read(photos.encoded(palette, transparency=0)).picture
    assert picture.mode == "RGB"
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (200, 0, 0)]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_half_transparent_pixels_are_mixed_with_white(mode):
    grey = Pillow.new("RGBA", (4, 4), (0, 0, 0, 128)).convert(mode)
    assert read(photos.encoded(grey)).picture.getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "TIFF"])
def test_animations_and_pages_give_their_first_picture(kind):
    photo = read(photos.frames(kind, "#ff0000", "#0000ff", "#00ff00"))
    assert photo.frames == 3
    assert photo.picture.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_tone_mapped_not_clipped(kind):
    values = photos.deep(bits=12)
    photo = read(photos.encoded(Pillow.fromarray(values), kind))
    picture = np.asarray(photo.picture)
    assert (photo.picture.mode, photo.bit_depth) == ("L", 16)
    assert (picture == 255).mean() < 0.01
    assert 100 < picture.mean() < 155
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(picture.ravel()[order].astype(int)) >= 0).all()


def test_sixteen_bits_of_either_byte_order_look_the_same():
    values = photos.deep()
    big_endian = Pillow.frombytes("I;16B", (64, 48), values.astype(">u2").tobytes())
    pictures = [
        read(photos.encoded(image, "TIFF")).picture
        for image in (big_endian, Pillow.fromarray(values))
    ]
    assert np.array_equal(*pictures)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_thirty_two_bits_are_tone_mapped(dtype):
    photo = read(photos.encoded(Pillow.fromarray(photos.deep().astype(dtype)), "TIFF"))
    assert (photo.picture.mode, photo.bit_depth) == ("L", 32)
    assert photo.picture.getextrema() == (0, 255)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {"compression": "group4"})])
def test_one_bit_becomes_black_and_white(kind, options):
    photo = read(photos.encoded(photos.noise().convert("1"), kind, **options))
    assert (photo.picture.mode, photo.bit_depth) == ("L", 1)
    assert set(np.unique(photo.picture)) == {0, 255}


@pytest.mark.parametrize("orientation", photos.ORIENTATIONS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_every_orientation_comes_upright(kind, orientation):
    photo = read(photos.turned(orientation, kind))
    assert (photo.width, photo.height) == photo.picture.size == (64, 32)
    error = np.asarray(photo.picture.convert("L")).astype(int) - np.asarray(photos.corners())
    assert np.abs(error).mean() < 3  # JPEG and WebP are lossy


def test_a_small_jpeg_comes_upright_too():
    large = Pillow.open(io.BytesIO(photos.turned(6, "JPEG"))).resize((800, 1600))
    exif = Pillow.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo = read(photos.encoded(large, "JPEG", exif=exif), at_least=100)
    assert (photo.width, photo.height) == (1600, 800)
    assert photo.picture.size == (200, 100)


def test_a_camera_without_zone_gives_a_time_without_zone():
    assert read(photos.dated("2026:11:05 08:09:10")).taken_at == WITHOUT_ZONE


def test_a_camera_with_a_zone_gives_a_moment():
    taken_at = read(photos.dated("2026:11:05 08:09:10", "+09:00")).taken_at
    assert taken_at == datetime(2026, 11, 4, 23, 9, 10, tzinfo=UTC)
    assert taken_at.tzinfo == timezone(timedelta(hours=9))


@pytest.mark.parametrize("zone", ["", "   ", "nine"])
def test_a_senseless_zone_is_no_zone(zone):
    assert read(photos.dated("2026:11:05 08:09:10", zone)).taken_at == WITHOUT_ZONE


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_a_senseless_date_is_no_date(text):
    assert read(photos.dated(text)).taken_at is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_costs_the_date_not_the_photo(kind):
    content = photos.encoded(photos.noise(), kind, exif=b"Exif\0\0garbage")
    assert read(content).picture.size == (64, 48)


def test_a_decompression_bomb_is_too_large():
    assert flaw_of(photos.bomb()) is Flaw.TOO_LARGE


def test_a_file_that_claims_more_pixels_than_it_has_is_corrupt():
    assert flaw_of(photos.bomb(1000, 1000)) is Flaw.CORRUPT


def test_the_limit_itself_is_allowed():
    assert read(photos.photo(), max_pixels=64 * 48).width == 64
    assert flaw_of(photos.photo(), max_pixels=64 * 48 - 1) is Flaw.TOO_LARGE


def test_two_hundred_megapixels_are_refused_without_unfolding_them(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(photos.huge())
    grown = photos.grown_memory(
        f"from pathlib import Path\nfrom worker.imaging.decode import *\npath = Path({str(path)!r})"
        "\ndef flaw(limit):\n    try: decode(path, max_pixels=limit)"
        "\n    except Undecodable as error: return error.flaw",
        f"assert flaw({MAX_PIXELS}) is Flaw.TOO_LARGE",
    )
    assert grown < 20 * 2**20


def test_pages_that_point_at_themselves_end():
    content = bytearray(photos.photo(kind="TIFF"))
    directory = int.from_bytes(content[4:8], "little")
    entries = int.from_bytes(content[directory : directory + 2], "little")
    next_page = directory + 2 + 12 * entries
    content[next_page : next_page + 4] = directory.to_bytes(4, "little")
    assert read(bytes(content)).frames == 1

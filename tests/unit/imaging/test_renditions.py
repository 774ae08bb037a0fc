"""Small copies keep the shape of a photo and never grow it."""

import io

import pytest
from PIL import Image as Pillow

from tests import photos
from worker.imaging.renditions import jpeg


def reopened(content: bytes) -> Pillow.Image:
    return Pillow.open(io.BytesIO(content), formats=("JPEG",))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1000, 500), (256, 128)), ((500, 1000), (128, 256)), ((5000, 3), (256, 1))],
)
def test_the_longer_side_is_what_was_asked_for(size, expected):
    small = jpeg(Pillow.new("RGB", size, "#888"), longest_side=256)
    assert reopened(small).size == expected


def test_nothing_is_enlarged():
    assert reopened(jpeg(photos.noise(), longest_side=256)).size == (64, 48)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_stays_grey_and_colour_stays_colour(mode):
    assert reopened(jpeg(photos.noise().convert(mode), longest_side=32)).mode == mode


def test_the_picture_itself_is_left_as_it_was():
    picture = photos.noise()
    jpeg(picture, longest_side=16)
    assert picture.size == (64, 48)


def test_a_thin_scratch_keeps_its_colour():
    scratch = Pillow.new("RGB", (64, 64), "#808080")
    for y in range(64):
        scratch.putpixel((32, y), (255, 0, 0))
    red, green, _ = reopened(jpeg(scratch, longest_side=64)).getpixel((32, 32))
    assert red - green > 150

"""Small copies keep the shape of a photo and never grow it."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from tests import photos
from worker.imaging.renditions import deep_png, jpeg


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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 4095]], np.uint16), [0, 4095]),
        (np.array([[-10, 90]], np.int32), [0, 65535]),
        (np.array([[0.25, 0.75]], np.float32), [0, 65535]),
        (np.array([[np.nan, 2.0]], np.float32), [0, 2]),
        (np.array([[0.5, 0.5]], np.float32), [0, 0]),
    ],
)
def test_greys_stay_as_they_are_where_sixteen_bits_hold_them(values, expected):
    packed = Pillow.open(io.BytesIO(deep_png(Pillow.fromarray(values), longest_side=64)))
    red, green, blue = np.asarray(packed).astype(int)[0].T
    assert (red * 256 + green).tolist() == expected
    assert blue.tolist() == [0, 0]


def test_deep_greys_are_shrunk_too():
    packed = deep_png(Pillow.fromarray(photos.deep()), longest_side=16)
    assert max(Pillow.open(io.BytesIO(packed)).size) == 16

"""Deep greys keep their order and their contrast in 8 bits."""

import numpy as np
import pytest
from PIL import Image as Pillow

from worker.imaging.tone import LARGEST_SAMPLE, to_eight_bits, window


def mapped(values: np.ndarray) -> np.ndarray:
    return np.asarray(to_eight_bits(Pillow.fromarray(values)))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_ramp_of_any_depth_fills_eight_bits(bits):
    ramp = np.linspace(0, 2**bits - 1, 4096).astype(np.uint16).reshape(64, 64)
    picture = mapped(ramp).ravel().astype(int)
    assert (picture[0], picture[-1]) == (0, 255)
    assert (np.diff(picture) >= 0).all()
    assert np.diff(picture).max() == 1


def test_dead_and_hot_pixels_do_not_widen_the_window():
    values = np.linspace(1000, 1500, 10_000).astype(np.uint16).reshape(100, 100)
    values[0, 0], values[99, 99] = 0, 65535
    picture = mapped(values)
    assert (picture[0, 0], picture[99, 99]) == (0, 255)
    assert picture[50].std() > 0
    assert 110 < picture.mean() < 145


def test_a_flat_picture_is_black_not_an_error():
    assert (mapped(np.full((8, 8), 3000, np.uint16)) == 0).all()


def test_negative_integers_are_as_good_as_positive_ones():
    values = np.linspace(-500, 500, 4096).astype(np.int32).reshape(64, 64)
    picture = mapped(values)
    assert (picture[0, 0], picture[-1, -1]) == (0, 255)


def test_what_is_no_number_is_nothing():
    values = np.linspace(0, 1, 4096).astype(np.float32).reshape(64, 64)
    values[1, :3] = np.nan, np.inf, -np.inf
    picture = mapped(values)
    assert (picture[1, :3] == 0).all()
    assert picture.max() == 255


def test_a_large_picture_is_judged_by_a_sample():
    values = np.tile(np.arange(3000, dtype=np.uint16), (1000, 1))
    assert values.size > 2 * LARGEST_SAMPLE
    low, high = window(values)
    assert low == pytest.approx(3, abs=2)
    assert high == pytest.approx(2996, abs=2)

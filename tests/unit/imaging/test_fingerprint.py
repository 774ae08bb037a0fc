"""Near-duplicates lie close together, other photos far apart."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageEnhance

from tests import photos
from worker.imaging.fingerprint import distance, perceptual_hash

SIGNED = st.integers(-(2**63), 2**63 - 1)


def recompressed(picture: Pillow.Image) -> Pillow.Image:
    return Pillow.open(io.BytesIO(photos.encoded(picture, "JPEG", quality=60)))


@pytest.mark.parametrize(
    "change",
    [
        recompressed,
        lambda picture: picture.resize((160, 120)),
        lambda picture: picture.convert("RGB"),
        lambda picture: ImageEnhance.Brightness(picture).enhance(0.9),
    ],
    ids=["recompressed", "smaller", "colour", "darker"],
)
@pytest.mark.parametrize("seed", range(4))
def test_a_near_duplicate_differs_in_few_bits(seed, change):
    picture = photos.surface(seed)
    assert distance(perceptual_hash(picture), perceptual_hash(change(picture))) <= 6


def test_other_photos_differ_in_many_bits():
    hashes = [perceptual_hash(photos.surface(seed)) for seed in range(8)]
    distances = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 10


def test_hashes_fit_a_signed_column():
    assert all(-(2**63) <= perceptual_hash(photos.surface(seed)) < 2**63 for seed in range(8))


@pytest.mark.parametrize("size", [(1, 1), (9, 9), (3000, 2)])
def test_nothing_but_black_has_a_hash_too(size):
    assert perceptual_hash(Pillow.new("L", size)) == 0


@given(SIGNED, SIGNED)
def test_distance_counts_the_bits_that_differ(one, other):
    bits = bin((one % 2**64) ^ (other % 2**64)).count("1")
    assert distance(one, other) == distance(other, one) == bits
    assert distance(one, one) == 0

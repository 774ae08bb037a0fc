"""What comes back of a photo: the file as it came, and two small JPEGs once a worker made them."""

import io
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image as Pillow

from app.core.storage import make_store
from tests import photos
from tests.integration.images.conftest import Uploader
from worker.imaging.decode import decode
from worker.tasks.ingest import store_renditions

RENDITIONS = ("original", "thumbnail", "preview")


@pytest.fixture
def sent():
    return photos.encoded(photos.surface(width=1600, height=1200), "TIFF")


@pytest.fixture
def image(boards, settings, sent):
    """A photo whose small copies are made."""
    image = boards.send_one(sent)
    photo = decode(io.BytesIO(sent), max_pixels=10**7)
    store_renditions(make_store(settings), image["sha256"], photo)
    return image


def test_each_comes_with_its_type_its_length_and_a_tag_that_is_good_for_ever(boards, image, sent):
    answers = {
        name: boards.client.get(f"{boards.path}/{image['id']}/{name}") for name in RENDITIONS
    }
    assert answers["original"].content == sent
    assert {n: a.headers["content-type"] for n, a in answers.items()} == {
        "original": "image/tiff", "thumbnail": "image/jpeg", "preview": "image/jpeg",
    }  # fmt: skip
    for answer in answers.values():
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["cache-control"] == "private, immutable, max-age=31536000"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert len({answer.headers["etag"] for answer in answers.values()}) == 3
    small = Pillow.open(io.BytesIO(answers["thumbnail"].content), formats=("JPEG",))
    larger = Pillow.open(io.BytesIO(answers["preview"].content), formats=("JPEG",))
    assert (small.size, larger.size) == ((256, 192), (1280, 960))


def test_a_copy_that_is_current_is_not_sent_again(boards, image):
    for name in RENDITIONS:
        path = f"{boards.path}/{image['id']}/{name}"
        tag = boards.client.get(path).headers["etag"]
        for held in (tag, f"W/{tag}", f'"other", {tag}'):
            answer = boards.client.get(path, headers={"if-none-match": held})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == tag
            assert "immutable" in answer.headers["cache-control"]
        assert boards.client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_deep_greys_come_exactly(boards, settings):
    values = photos.deep(bits=16)
    sent = photos.encoded(Pillow.fromarray(values), "PNG")
    image = boards.send_one(sent)
    photo = decode(io.BytesIO(sent), max_pixels=10**7)
    store_renditions(make_store(settings), image["sha256"], photo)
    answer = boards.client.get(f"{boards.path}/{image['id']}/deep")
    assert answer.headers["content-type"] == "image/png"
    packed = np.asarray(Pillow.open(io.BytesIO(answer.content))).astype(np.uint16)
    assert np.array_equal(packed[..., 0] * 256 + packed[..., 1], values)


def test_photos_of_eight_bits_have_no_deep_greys(boards, image):
    assert boards.client.get(f"{boards.path}/{image['id']}/deep").status_code == 404


def test_small_copies_are_missing_until_they_are_made(boards):
    image = boards.send_one(photos.photo())
    for name in ("thumbnail", "preview"):
        answer = boards.client.get(f"{boards.path}/{image['id']}/{name}")
        assert (answer.status_code, answer.json()["status"]) == (404, 404)
        assert "received" in answer.json()["detail"]
        assert "cache-control" not in answer.headers


def test_bytes_of_another_projects_photo_are_not_found(boards, client, image):
    other = Uploader(client, "covers")
    other.create_project()
    for name in RENDITIONS:
        for path in (f"{other.path}/{image['id']}/{name}", f"{boards.path}/{uuid4()}/{name}"):
            assert client.get(path).status_code == 404
    assert client.get(f"{boards.path}/not-an-id/original").status_code == 422


def test_bytes_need_somebody_who_may_read(boards, image):
    boards.client.headers.pop("Authorization")
    for name in RENDITIONS:
        assert boards.client.get(f"{boards.path}/{image['id']}/{name}").status_code == 401

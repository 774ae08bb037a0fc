"""Listings in every order: each photo once, whatever ties, arrivals and page lengths."""

import random
from datetime import timedelta
from itertools import chain

import pytest

from app.annotations.models import LabelValue
from app.catalog.filters import Order
from app.core.clock import now
from app.core.pagination import encode_cursor
from app.images.models import Image

START = now().replace(microsecond=0) - timedelta(days=40)


@pytest.fixture
def crowd(shelf):
    """Twenty-three photos full of ties: times, priorities and names repeat."""
    order = list(range(23))
    random.Random(0).shuffle(order)
    for number in order:
        shelf.add(
            str(number),
            file_name=f"{'aB傷'[number % 3]}.png",
            created_at=START + timedelta(hours=number // 5),
            captured_at=START - timedelta(days=number // 4) if number % 2 else None,
            priority=(number % 4) / 3,
        )
    shelf.session.commit()
    return list(shelf.images.values())


KEYS = {
    "created_at": lambda image: image.created_at,
    "captured_at": lambda image: image.captured_at or image.created_at,
    "priority": lambda image: image.priority,
    "file_name": lambda image: image.file_name,
}


def test_pages_in_every_order_hold_each_photo_once(shelf, crowd):
    for order in Order:
        key = KEYS[order.column]
        expected = sorted(crowd, key=lambda x, key=key: (key(x), x.id), reverse=order.descending)
        for limit in (4, 23, 50):
            pages = shelf.pages(sort=order.value, limit=limit)
            assert list(chain(*pages)) == [str(image.id) for image in expected], order
            assert len(pages) == -(-23 // limit)
    assert shelf.get().json() == shelf.get(sort="-created_at", limit=50).json()


def test_filters_hold_on_every_page(shelf, crowd):
    of_name = {str(image.id) for image in crowd if image.file_name == "B.png"}
    pages = shelf.pages(file_name="B", sort="priority", limit=3)
    assert [len(page) for page in pages] == [3, 3, 2]
    assert set(chain(*pages)) == of_name


def test_photos_that_come_and_go_meanwhile_shift_nothing(shelf, crowd):
    first = shelf.get(limit=5).json()
    shelf.add("newest")
    shelf.session.get(Image, first["items"][4]["id"]).deleted_at = now()
    shelf.session.commit()
    rest = shelf.get(limit=50, cursor=first["next_cursor"]).json()["items"]
    assert len({item["id"] for item in (*first["items"], *rest)}) == 23


def test_a_cursor_of_elsewhere_is_a_bad_request(shelf, crowd):
    some_id = str(crowd[0].id)
    for cursor in (
        "nonsense", encode_cursor(["x", some_id]), encode_cursor([5, 5]), encode_cursor([some_id]),
        encode_cursor([None, None]), encode_cursor([START, 5]),
    ):  # fmt: skip
        assert shelf.get(cursor=cursor).status_code == 400, cursor


def test_a_page_takes_the_same_queries_however_many_photos(shelf, crowd, count_queries):
    for name in shelf.images:
        shelf.suggest(name, dent=0.9)
        shelf.state(name, scratch=LabelValue.PRESENT)
    shelf.session.commit()
    shelf.get()  # the first request also notes that its token was used
    counts = []
    for query in (
        {"limit": 1},
        {"limit": 23},
        {"limit": 23, "label": "scratch", "annotated": "yes"},
    ):
        with count_queries() as statements:
            assert len(shelf.get(**query).json()["items"]) == query["limit"]
        counts.append(len(statements))
    page = shelf.get(limit=5).json()
    with count_queries() as statements:
        shelf.get(limit=5, cursor=page["next_cursor"])
    counts.append(len(statements))
    assert not any("OFFSET" in one.upper() for one in statements)
    # Who asks, which project, which labels, and three for the page.
    assert len(set(counts)) == 1
    assert counts[0] <= 7

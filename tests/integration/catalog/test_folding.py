"""Folded listings: one photo stands for its burst, on every page, under every filter."""

from itertools import chain

import pytest

from app.core.clock import now
from app.core.ids import new_id


@pytest.fixture
def bursts(shelf):
    """Three bursts of four, two photos of their own, and one of before there were bursts."""
    for burst in "abc":
        head = shelf.add(f"{burst}0", file_name=f"{burst}0.png")
        head.burst_id = head.id
        for number in range(1, 4):
            shelf.add(f"{burst}{number}", file_name=f"{burst}{number}.png", burst_id=head.id)
    for name in ("alone", "alone too"):
        image = shelf.add(name)
        image.burst_id = image.id
    shelf.add("old")
    shelf.session.commit()
    return shelf


def test_one_photo_stands_for_its_burst_and_says_for_how_many(bursts):
    items = bursts.get(fold=True, sort="file_name").json()["items"]
    shown = [(item["file_name"], item["stands_for"]) for item in items]
    assert shown == [
        ("a0.png", 4), ("alone too.png", 1), ("alone.png", 1), ("b0.png", 4), ("c0.png", 4),
        ("old.png", 1),
    ]  # fmt: skip
    assert len(bursts.names()) == 15
    assert {item["stands_for"] for item in bursts.get().json()["items"]} == {1}


def test_a_burst_unfolds(bursts):
    burst = str(bursts.images["b2"].burst_id)
    assert bursts.names(burst=burst, sort="file_name") == ["b0", "b1", "b2", "b3"]
    assert bursts.get(burst=str(new_id())).json()["items"] == []
    assert bursts.get(burst="b").status_code == 422


def test_folded_pages_hold_each_burst_once(bursts):
    whole = [item["id"] for item in bursts.get(fold=True).json()["items"]]
    for limit in (1, 2, 4, 6):
        pages = bursts.pages(fold=True, limit=limit)
        assert list(chain(*pages)) == whole
        assert len(pages) == -(-len(whole) // limit)


def test_filters_choose_who_stands_for_the_burst(bursts):
    for name in ("a2", "a3", "b1"):
        bursts.images[name].lot = "L"
    bursts.session.commit()
    items = bursts.get(fold=True, lot="L", sort="file_name").json()["items"]
    assert [(item["file_name"], item["stands_for"]) for item in items] == [
        ("a2.png", 2),
        ("b1.png", 1),
    ]


def test_when_the_first_is_deleted_the_next_one_stands_for_the_burst(bursts):
    bursts.images["a0"].deleted_at = now()
    bursts.session.commit()
    items = bursts.get(fold=True, file_name="a", sort="file_name").json()["items"]
    assert ("a1.png", 3) in [(item["file_name"], item["stands_for"]) for item in items]


def test_the_grid_folds_unless_told_otherwise(bursts):
    page = f"/projects/{bursts.project.slug}/images"
    folded = bursts.client.get(page).text
    assert folded.count('class="photo"') == 6
    assert folded.count('class="burst-count"') == 3
    assert bursts.client.get(page, params={"fold": "false"}).text.count('class="photo"') == 15
    burst = str(bursts.images["a0"].burst_id)
    assert bursts.client.get(page, params={"burst": burst}).text.count('class="photo"') == 4


def test_a_folded_page_takes_the_same_queries_however_many_photos(bursts, count_queries):
    bursts.get(fold=True)
    counts = []
    for limit in (1, 6):
        with count_queries() as statements:
            assert len(bursts.get(fold=True, limit=limit).json()["items"]) == limit
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 8

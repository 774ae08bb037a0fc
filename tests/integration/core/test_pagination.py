"""A cursor comes back from the network: what no listing gave out is refused as such."""

import pytest

from app.core.ids import new_id
from app.core.pagination import encode_cursor

URL = "/api/v1/projects/boards/images"


@pytest.fixture
def listing(client):
    client.post("/api/v1/projects", json={"slug": "boards", "name": "boards"})

    def ask(*values: object):
        params = {"sort": "file_name", "cursor": encode_cursor(values)}
        return client.get(URL, params=params)

    return ask


@pytest.mark.parametrize("name", ["\ud800", "\udfff.png", "nul\0.png"])
def test_text_that_no_row_can_hold_is_no_cursor(listing, name):
    answer = listing(name, new_id())
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")


def test_a_name_in_any_script_is_one(listing):
    assert listing("傷 🔧.png", new_id()).status_code == 200

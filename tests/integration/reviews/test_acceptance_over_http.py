"""Automatic acceptance over HTTP, and its page."""

import pytest

from app.identity.models import Role
from tests.factories import make_images, make_token
from tests.integration.reviews.conftest import Desk

PROMISE = [{"value": 1, "threshold": 0.9, "alpha": 0.05}]


@pytest.fixture
def desk(make_desk) -> Desk:
    desk = make_desk(stage="auto")
    desk.version.card = {
        "labels": [{"key": key} for key in desk.labels],
        "promises": {"scratch": PROMISE},
    }
    desk.session.commit()
    return desk


@pytest.fixture
def path(desk):
    return f"/api/v1/projects/{desk.project.slug}"


def test_a_contract_begins_is_seen_and_ends(client, path):
    begun = client.put(f"{path}/labels/scratch/acceptance", json={"allowed_error": 0.05})
    assert begun.status_code == 200
    assert begun.json()["thresholds"] == {"present": 0.9, "absent": None}
    listed = client.get(f"{path}/acceptance").json()
    assert [one["allowed_error"] for one in listed["labels"]] == [0.05, None, None]
    assert listed["stage"] == "auto"
    assert listed["clean_images"] == {"audited": 0, "errors": 0, "upper_bound": None}
    ended = client.delete(f"{path}/labels/scratch/acceptance", params={"take_back": True})
    assert (ended.json()["end"], ended.json()["takes_back"]) == ("stopped", True)
    assert client.delete(f"{path}/labels/scratch/acceptance").status_code == 409
    events = client.get("/api/v1/audit-events").json()["items"]
    assert {"acceptance.started", "acceptance.stopped"} <= {one["action"] for one in events}


@pytest.mark.parametrize("wrong", [0.5, 0, "much", None])
def test_an_error_rate_that_nobody_promises_is_refused(client, path, wrong):
    answer = client.put(f"{path}/labels/scratch/acceptance", json={"allowed_error": wrong})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_label_that_never_had_a_contract_has_none_to_end(client, path):
    assert client.delete(f"{path}/labels/dent/acceptance").status_code == 404
    assert (
        client.put(f"{path}/labels/none/acceptance", json={"allowed_error": 0.05}).status_code
        == 404
    )


def test_a_reviewer_sees_and_does_not_decide_what_is_accepted(client, desk, path):
    headers = make_token(desk.session, Role.REVIEWER)
    desk.session.commit()
    client.cookies.clear()
    assert client.get(f"{path}/acceptance", headers=headers).status_code == 200
    body = {"allowed_error": 0.05}
    answer = client.put(f"{path}/labels/scratch/acceptance", json=body, headers=headers)
    assert answer.status_code == 403


def test_the_page_says_what_runs_and_what_is_missing(client, desk, path):
    page = f"/projects/{desk.project.slug}/models/acceptance"
    client.put(f"{path}/labels/scratch/acceptance", json={"allowed_error": 0.05})
    client.put(f"{path}/labels/dent/acceptance", json={"allowed_error": 0.05})
    client.cookies.set("kizu_language", "en")
    text = client.get(page).text
    for expected in ("Running", "Too little evidence", "By people", "90.0%"):
        assert expected in text
    assert "Nobody checks" not in text
    desk.project.audit_rate = 0.0
    desk.session.commit()
    assert "Nobody checks what is accepted" in client.get(page).text
    desk.project.stage = "assist"
    desk.version.card = {}
    desk.session.commit()
    client.cookies.set("kizu_language", "ja")
    assert "段階の切り替え待ち" in client.get(page).text


def test_a_listing_costs_as_many_queries_however_much_was_accepted(
    client, desk, path, count_queries
):
    client.put(f"{path}/labels/scratch/acceptance", json={"allowed_error": 0.05})
    with count_queries() as few:
        client.get(f"{path}/acceptance")
    for image in make_images(desk.session, desk.project, 5):
        desk.suggest(image, scratch=0.95)
    desk.session.commit()
    with count_queries() as many:
        client.get(f"{path}/acceptance")
    assert len(many) == len(few)

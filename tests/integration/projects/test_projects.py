"""Projects over the API: made, read, edited, archived, listed, and by whom."""

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from app.core.audit import AuditEvent
from app.identity.models import Role
from app.projects import service
from app.projects.models import Counter

URL = "/api/v1/projects"


def test_a_project_is_made_with_kizus_defaults(client, add_project):
    made = add_project("boards")
    assert made["time_zone"] == "Asia/Tokyo"
    assert (made["hourly_cost"], made["currency"]) == (3000.0, "JPY")
    assert made["stage"] == "assist"
    assert made["simulated"] is False
    answer = client.get(f"{URL}/boards")
    assert answer.json() == made
    assert answer.headers["etag"] == '"1"'


def test_the_bodies_that_the_pages_and_the_demo_send_are_understood(client):
    page = {
        "slug": "line-2",
        "name": "Line 2",
        "time_zone": "Asia/Tokyo",
        "hourly_cost": 3000,
        "currency": "JPY",
    }
    demo = {
        "slug": "demo-1",
        "name": "Demo: parts",
        "simulated": True,
        "evaluation_rate": 0.2,
        "control_rate": 0.25,
    }
    assert client.post(URL, json=page).status_code == 201
    answer = client.post(URL, json=demo)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/projects/demo-1"
    assert answer.json()["simulated"] is True
    assert answer.json()["counters"] == {}


def test_a_repeated_create_makes_one_project(client):
    headers = {"idempotency-key": "one"}
    body = {"slug": "boards", "name": "Boards"}
    first, second = (client.post(URL, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


def test_a_taken_slug_is_a_conflict(client, add_project):
    add_project("boards")
    answer = client.post(URL, json={"slug": "boards", "name": "Others"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/conflict"


@pytest.mark.parametrize(
    "wrong",
    [
        {"slug": "Boards"},
        {"slug": "new"},
        {"name": "   "},
        {"time_zone": "Tokyo"},
        {"currency": "yen"},
        {"hourly_cost": -1},
        {"control_rate": 1.5},
        {"stage": "magic"},
        {"colour": "red"},
    ],
)
def test_settings_that_cannot_be_are_named(client, wrong):
    answer = client.post(URL, json={"slug": "boards", "name": "Boards", **wrong})
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.text


def test_an_edit_needs_the_etag_that_was_read(client, add_project):
    add_project("boards")
    change = {"stage": "auto", "hourly_cost": 2500.5}
    assert client.patch(f"{URL}/boards", json=change).status_code == 428
    answer = client.patch(f"{URL}/boards", json=change, headers={"if-match": '"1"'})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    assert (answer.json()["stage"], answer.json()["hourly_cost"]) == ("auto", 2500.5)
    late = client.patch(f"{URL}/boards", json={"name": "B"}, headers={"if-match": '"1"'})
    assert late.status_code == 412
    assert late.json()["current"] == 2


@pytest.mark.parametrize(
    "wrong", [{"time_zone": "Mars/Base"}, {"currency": "??"}, {"name": None}, {"simulated": True}]
)
def test_an_edit_is_checked_like_a_new_project(client, add_project, wrong):
    add_project("boards")
    answer = client.patch(f"{URL}/boards", json=wrong, headers={"if-match": "*"})
    assert answer.status_code == 422
    assert client.get(f"{URL}/boards").headers["etag"] == '"1"'


def test_an_edit_that_changes_nothing_keeps_the_etag(client, add_project):
    add_project("boards")
    answer = client.patch(f"{URL}/boards", json={"stage": "assist"}, headers={"if-match": '"1"'})
    assert answer.headers["etag"] == '"1"'


def test_an_archived_project_can_be_read_but_not_changed(client, add_project):
    add_project("boards", labels=("scratch",))
    put_away = {"is_archived": True}
    assert client.patch(f"{URL}/boards", json=put_away, headers={"if-match": "*"}).is_success
    assert client.get(URL).json()["items"] == []
    assert len(client.get(URL, params={"include_archived": True}).json()["items"]) == 1
    assert client.get(f"{URL}/boards/labels").is_success
    new = client.post(f"{URL}/boards/labels", json={"key": "dent", "names": {"en": "Dent"}})
    assert new.status_code == 409
    back = {"is_archived": False}
    assert client.patch(f"{URL}/boards", json=back, headers={"if-match": "*"}).is_success
    assert client.get(f"{URL}/boards").json()["archived_at"] is None


def test_unknown_projects_are_not_found(client):
    assert client.get(f"{URL}/nothing").status_code == 404
    assert client.get(f"{URL}/nothing/labels").status_code == 404


def test_who_may_do_what(client, anonymous, add_project, token_of):
    add_project("boards")
    body = {"slug": "others", "name": "Others"}
    edit = {"name": "B"}
    for role, may_edit in ((Role.VIEWER, False), (Role.REVIEWER, False), (Role.ENGINEER, True)):
        who = token_of(role)
        assert client.get(URL, headers=who).status_code == 200
        edited = client.patch(f"{URL}/boards", json=edit, headers={**who, "if-match": "*"})
        made = client.post(URL, json=body, headers=who)
        assert (edited.status_code, made.status_code) == ((200, 201) if may_edit else (403, 403))
        gone = client.delete(f"{URL}/boards", params={"confirm": "boards"}, headers=who)
        assert gone.status_code == 403
    del anonymous.headers["Authorization"]
    assert anonymous.get(f"{URL}/boards").status_code == 401
    assert anonymous.get(f"{URL}/nothing").status_code == 401


def test_pages_of_projects_cost_the_same_however_long(client, engine, add_project):
    def list_some(limit: int) -> tuple[int, dict]:
        statements: list[str] = []

        def remember(conn, cursor, statement, *_):
            statements.append(statement)

        event.listen(engine_of(client), "before_cursor_execute", remember)
        page = client.get(URL, params={"limit": limit}).json()
        event.remove(engine_of(client), "before_cursor_execute", remember)
        return len(statements), page

    for number in range(5):
        add_project(f"p{number}")
    few, _ = list_some(1)
    many, page = list_some(3)
    assert few == many
    assert [item["slug"] for item in page["items"]] == ["p4", "p3", "p2"]
    rest = client.get(URL, params={"cursor": page["next_cursor"], "limit": 3}).json()
    assert [item["slug"] for item in rest["items"]] == ["p1", "p0"]
    assert rest["next_cursor"] is None
    assert client.get(URL, params={"cursor": "nonsense"}).status_code == 400


def engine_of(client):
    return client.app.state.sessions.kw["bind"]


def test_counters_are_part_of_a_project(client, add_project, sessions):
    project = add_project("boards")
    with sessions.begin() as session:
        for counter in (Counter.IMAGES, Counter.READY):
            service.adjust_counter(session, project["id"], counter, 3)
    assert client.get(f"{URL}/boards").json()["counters"] == {"images": 3, "ready": 3}
    assert client.get(URL).json()["items"][0]["counters"] == {"images": 3, "ready": 3}


def test_every_change_is_in_the_audit_trail(client, add_project, session: Session):
    add_project("boards", labels=("scratch", "dent"))
    client.patch(f"{URL}/boards", json={"control_rate": 0.3}, headers={"if-match": "*"})
    label = f"{URL}/boards/labels/scratch"
    client.patch(label, json={"miss_cost": 5}, headers={"if-match": "*"})
    order = f"{URL}/boards/label-order"
    client.put(order, json={"keys": ["dent", "scratch"]}, headers={"if-match": "*"})
    client.post(f"{label}/archive", headers={"if-match": "*"})
    client.post(f"{label}/unarchive", headers={"if-match": "*"})
    events = session.scalars(
        select(AuditEvent).where(AuditEvent.project_id.is_not(None)).order_by(AuditEvent.id)
    ).all()
    assert [e.action for e in events] == [
        "project.created",
        "label.created",
        "label.created",
        "project.edited",
        "label.edited",
        "labels.ordered",
        "label.archived",
        "label.unarchived",
    ]
    assert (events[3].before, events[3].after) == ({"control_rate": 0.1}, {"control_rate": 0.3})
    assert all(e.actor_id for e in events)

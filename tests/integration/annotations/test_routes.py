"""Annotations over HTTP: what is refused and where it points, repeats, many at once, who may."""

from uuid import uuid4

import pytest

from app.core.clock import now
from app.identity.models import Role
from app.projects import service as projects
from tests.factories import make_images, make_project, make_token


@pytest.fixture
def project(session):
    return make_project(session, labels=("scratch", "dent", "rust"))


@pytest.fixture
def images(session, project):
    images = make_images(session, project, 3)
    session.commit()
    return images


@pytest.fixture
def path(project):
    return f"/api/v1/projects/{project.slug}"


@pytest.fixture
def annotate(client, path, images):
    """A function that states something about the first photo."""

    def annotate(headers=None, **body):
        return client.post(f"{path}/images/{images[0].id}/annotations", json=body, headers=headers)

    return annotate


@pytest.fixture
def history(client, path, images):
    return lambda: client.get(f"{path}/images/{images[0].id}/annotations").json()["items"]


def test_a_statement_is_answered_and_kept(client, path, images, annotate, history):
    answer = annotate(values={"scratch": "present"}, is_complete=True, active_seconds=6.4)
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert said["values"] == {"scratch": "present", "dent": "absent", "rust": "absent"}
    assert (said["active_seconds"], said["finishes_image"], said["source"]) == (6.4, True, "human")
    assert history() == [said]
    known = client.get(f"{path}/images/{images[0].id}/labels").json()["items"]
    assert [(item["label"], item["value"], item["annotation_id"]) for item in known] == [
        ("dent", "absent", said["id"]),
        ("rust", "absent", said["id"]),
        ("scratch", "present", said["id"]),
    ]


def test_labels_that_cannot_be_stated_are_pointed_at(session, project, annotate, history):
    projects.labels_by_key(session, project.id)["rust"].archived_at = now()
    session.commit()
    answer = annotate(values={"scratch": "present", "scrath": "present", "rust": "absent"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "#/values/scrath", "detail": "unknown label"},
        {"pointer": "#/values/rust", "detail": "archived label"},
    ]
    assert history() == []


@pytest.mark.parametrize(
    "body",
    [{}, {"values": {"scratch": "maybe"}}, {"value": {}}, {"is_complete": True, "source": "auto"},
     {"is_complete": True, "active_seconds": -1}],
)  # fmt: skip
def test_what_says_nothing_or_too_much_is_refused(annotate, history, body):
    assert annotate(**body).status_code == 422
    assert history() == []


@pytest.mark.parametrize("rest", ["annotations", "labels"])
def test_a_photo_of_another_project_is_not_found(client, session, path, images, rest):
    (stranger,) = make_images(session, make_project(session), 1)
    session.commit()
    for image_id in (stranger.id, uuid4()):
        address = f"{path}/images/{image_id}/{rest}"
        assert client.get(address).status_code == 404
        if rest == "annotations":
            assert client.post(address, json={"is_complete": True}).status_code == 404


def test_under_one_idempotency_key_there_is_one_annotation(annotate, history):
    key = {"idempotency-key": "once"}
    first, second = (annotate(key, values={"scratch": "present"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(history()) == 1
    assert annotate(key, values={"scratch": "absent"}).status_code == 422
    assert len(history()) == 1


def test_many_at_once_get_a_result_each(client, path, images):
    def send(*items, **body):
        return client.post(f"{path}/annotations/bulk", json={"items": items, **body})

    good = [{"image_id": str(image.id), "values": {"scratch": "present"}} for image in images]
    whole = send(*good)
    assert whole.status_code == 200
    assert (whole.json()["created"], whole.json()["failed"]) == (3, 0)
    unknown = {"image_id": str(images[1].id), "values": {"scrath": "present"}}
    stranger = {"image_id": str(uuid4()), "is_complete": True}
    mixed = send(good[0], unknown, stranger, source="human")
    assert mixed.status_code == 207
    body = mixed.json()
    assert (body["created"], body["failed"]) == (1, 2)
    assert [item["status"] for item in body["items"]] == [201, 422, 404]
    assert [item["image_id"] for item in body["items"]] == [
        good[0]["image_id"], unknown["image_id"], stranger["image_id"],
    ]  # fmt: skip
    assert body["items"][1]["detail"] == "unknown label: scrath"
    assert [item["annotation_id"] is None for item in body["items"]] == [False, True, True]


def test_nobody_sends_automatic_labels(client, path, images, history):
    item = {"image_id": str(images[0].id), "is_complete": True}
    bulk = {"items": [item], "source": "auto"}
    assert client.post(f"{path}/annotations/bulk", json=bulk).status_code == 422
    assert client.post(f"{path}/annotations/bulk", json={"items": []}).status_code == 422
    assert history() == []


def test_an_undo_is_a_row_of_its_own(client, path, annotate, history):
    said = annotate(values={"scratch": "present"}).json()
    undone = client.post(f"{path}/annotations/{said['id']}/undo")
    assert (undone.status_code, undone.json()["undoes_id"]) == (201, said["id"])
    assert [item["id"] for item in history()] == [undone.json()["id"], said["id"]]
    for again in (said["id"], undone.json()["id"]):
        assert client.post(f"{path}/annotations/{again}/undo").status_code == 409
    assert client.post(f"{path}/annotations/{uuid4()}/undo").status_code == 404


@pytest.mark.parametrize(
    ("role", "states", "undoes_own", "undoes_others", "sends_many"),
    [
        (Role.VIEWER, 403, None, 403, 403),
        (Role.REVIEWER, 201, 201, 403, 403),
        (Role.ENGINEER, 201, 201, 201, 200),
        (Role.ADMIN, 201, 201, 201, 200),
    ],
)
def test_who_may(
    client, session, path, images, annotate, role, states, undoes_own, undoes_others, sends_many
):
    who, author = make_token(session, role), make_token(session, Role.REVIEWER)
    session.commit()

    def undo(said):
        address = f"{path}/annotations/{said.json()['id']}/undo"
        return client.post(address, headers=who).status_code

    own = annotate(who, values={"scratch": "present"})
    assert own.status_code == states
    if undoes_own:
        assert undo(own) == undoes_own
    assert undo(annotate(author, values={"dent": "present"})) == undoes_others
    bulk = {"items": [{"image_id": str(images[1].id), "is_complete": True}]}
    many = client.post(f"{path}/annotations/bulk", json=bulk, headers=who)
    assert many.status_code == sends_many

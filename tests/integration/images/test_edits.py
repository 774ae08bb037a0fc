"""Corrections and deletion: nobody overwrites what they have not seen."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.core.audit import AuditEvent
from app.images import service
from app.images.inspection import Reason
from app.images.models import Image
from app.images.service import Findings
from app.projects import service as projects
from app.projects.models import Counter
from tests import photos
from tests.integration.images.conftest import Uploader

CAPTURE = '{"line": "L1", "lot": "A", "exposure": 3, "captured_at": "2026-11-05T08:00:00"}'
FIRST = {"if-match": '"1"'}


@pytest.fixture
def image(boards):
    return boards.send_one(photos.photo(), metadata=CAPTURE)


@pytest.fixture
def path(boards, image):
    return f"{boards.path}/{image['id']}"


def counters(session):
    project = projects.get_project(session, "boards")
    return projects.counters(session, project.id)


def test_members_left_out_stay_and_null_empties(client, path):
    answer = client.patch(path, json={"line": "L2", "lot": None}, headers=FIRST)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["line"], body["lot"], body["details"]) == ("L2", None, {"exposure": 3})
    assert (answer.headers["etag"], body["version"]) == ('"2"', 2)
    assert client.get(path).headers["etag"] == '"2"'
    details = client.patch(path, json={"details": {"gain": 2}}, headers={"if-match": '"2"'})
    assert details.json()["details"] == {"gain": 2}
    factory_time = {"captured_at": "2026-01-02T03:04:05"}
    taken = client.patch(path, json=factory_time, headers={"if-match": '"3"'}).json()
    moment = datetime.fromisoformat(taken["captured_at"])
    assert moment == datetime.fromisoformat("2026-01-02T03:04:05+09:00")


def test_an_edit_says_what_it_has_seen(client, path):
    silent = client.patch(path, json={"line": "L2"})
    assert (silent.status_code, silent.json()["type"]) == (428, "/problems/precondition-required")
    stale = client.patch(path, json={"line": "L2"}, headers={"if-match": '"7"'})
    assert (stale.status_code, stale.json()["current"]) == (412, 1)
    assert client.get(path).json()["line"] == "L1"
    assert client.patch(path, json={"line": "L2"}, headers={"if-match": "*"}).status_code == 200


def test_what_cannot_be_is_refused(client, path):
    for body in ({"split": "test"}, {"line": ""}, {"captured_at": "soon"}, {"details": None}, []):
        answer = client.patch(path, json=body, headers=FIRST)
        assert (answer.status_code, answer.json()["status"]) == (422, 422), body
    for text in ({"line": "a\0b"}, {"details": {"note": "\0"}}):
        assert client.patch(path, json=text, headers=FIRST).status_code == 422
    assert client.get(path).json()["version"] == 1


def test_a_time_that_no_camera_had_is_refused(boards, client, path):
    for moment in ("0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00"):
        answer = client.patch(path, json={"captured_at": moment}, headers=FIRST)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert client.get(boards.path).json()["items"][0]["version"] == 1


def test_of_two_edits_at_once_one_wins_and_the_other_is_told(client, path):
    for attempt in range(1, 4):
        with ThreadPoolExecutor(6) as pool:
            answers = pool.map(
                lambda n, tag=attempt: client.patch(
                    path, json={"line": f"L{n}"}, headers={"if-match": f'"{tag}"'}
                ),
                range(6),
            )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5


def test_an_edit_is_in_the_audit_trail(client, path, session, image):
    client.patch(path, json={"line": "L2", "captured_at": None}, headers=FIRST)
    wanted = select(AuditEvent).where(AuditEvent.action == "image.edited")
    event = session.scalars(wanted).one()
    assert event.object_id == image["id"]
    assert event.before == {"line": "L1", "captured_at": "2026-11-04T23:00:00+00:00"}
    assert event.after == {"line": "L2", "captured_at": None}


def test_deleting_hides_at_once(boards, client, path, image, session):
    assert client.delete(path).status_code == 428
    assert client.delete(path, headers={"if-match": '"2"'}).status_code == 412
    assert client.delete(path, headers=FIRST).status_code == 204
    for gone in (path, f"{path}/original"):
        assert client.get(gone).status_code == 404
    assert client.patch(path, json={"line": "L2"}, headers={"if-match": "*"}).status_code == 404
    assert client.delete(path, headers={"if-match": "*"}).status_code == 404
    assert client.get(boards.path).json()["items"] == []
    assert boards.count() == 0
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "image.deleted")).one()
    assert event.before == {"file_name": "0.png", "sha256": image["sha256"]}


def test_a_deleted_photo_can_come_again(boards, client, path, image):
    client.delete(path, headers=FIRST)
    again = boards.send_one(photos.photo())
    assert again["id"] != image["id"]
    assert again["sha256"] == image["sha256"]
    assert boards.count() == 1


def test_deleting_twice_at_once_counts_once(boards, client, path, session):
    boards.send_one(photos.photo(1))
    with ThreadPoolExecutor(4) as pool:
        deletions = pool.map(lambda _: client.delete(path, headers={"if-match": "*"}), range(4))
    assert sorted(answer.status_code for answer in deletions) == [204, 404, 404, 404]
    assert boards.count() == 1


def test_a_verdict_that_comes_after_the_deletion_counts_nothing(
    boards, client, path, image, session
):
    assert client.delete(path, headers=FIRST).status_code == 204
    project, image_id = projects.get_project(session, "boards"), UUID(image["id"])
    findings = Findings(width=64, height=48, bit_depth=8, perceptual_hash=1)
    assert not service.mark_ready(session, project, image_id, findings)
    assert not service.mark_rejected(session, image_id, Reason.CORRUPT, "It is broken.")
    session.commit()
    assert (
        counters(session).get(Counter.READY, 0) == counters(session).get(Counter.REJECTED, 0) == 0
    )


def test_a_verdict_is_given_once_and_keeps_what_people_said(boards, image, session):
    project, image_id = projects.get_project(session, "boards"), UUID(image["id"])
    row = session.get(Image, image_id)
    said = row.captured_at
    findings = Findings(
        width=64, height=48, bit_depth=8, perceptual_hash=-1,
        captured_at=datetime.fromisoformat("2020-01-01T00:00:00"),
        details={"frames": 3, "exposure": 9},
    )  # fmt: skip
    assert service.mark_ready(session, project, image_id, findings)
    assert not service.mark_rejected(session, image_id, Reason.CORRUPT, "It is broken.")
    session.commit()
    session.refresh(row)
    assert (row.state, row.captured_at) == ("ready", said)
    assert row.details == {"exposure": 3, "frames": 3}
    assert counters(session)[Counter.READY] == 1


def test_another_projects_photo_cannot_be_changed(client, image):
    other = Uploader(client, "covers")
    other.create_project()
    for path in (f"{other.path}/{image['id']}", f"{other.path}/{uuid4()}"):
        assert client.get(path).status_code == 404
        assert client.patch(path, json={"line": "L2"}, headers=FIRST).status_code == 404
        assert client.delete(path, headers=FIRST).status_code == 404

"""Uploads: a result for every file, nothing stored twice, nothing lost, nothing half."""

import hashlib
import json
from datetime import UTC, datetime

from app.identity import service as identity
from app.identity.models import Role
from tests import photos
from tests.integration.images.conftest import Uploader

GIF = photos.frames("GIF", "red", "blue")


def statuses(answer):
    return [item["status"] for item in answer.json()["items"]]


def tally(answer):
    body = answer.json()
    return body["created"], body["already_there"], body["rejected"]


def test_a_photo_of_every_format(boards, settings):
    for kind in photos.FORMATS:
        content = photos.photo(kind=kind)
        answer = boards.send((f"photo.{kind.lower()}", content))
        assert (answer.status_code, tally(answer)) == (201, (1, 0, 0))
        image = answer.json()["items"][0]["image"]
        assert image["sha256"] == hashlib.sha256(content).hexdigest()
        assert image["media_type"] == f"image/{kind.lower()}"
        assert (image["byte_size"], image["state"]) == (len(content), "received")
        assert boards.client.get(f"{boards.path}/{image['id']}/original").content == content
    assert list((settings.data_dir / "incoming").iterdir()) == []


def test_many_photos_are_answered_in_their_order(boards, rows):
    answer = boards.send(*((f"{n}.png", photos.photo(n)) for n in (3, 1, 2)))
    assert (answer.status_code, tally(answer)) == (201, (3, 0, 0))
    names = [item["file_name"] for item in answer.json()["items"]]
    assert names == ["3.png", "1.png", "2.png"] == [row.file_name for row in rows()]
    assert boards.count() == 3


def test_a_photo_that_is_there_already_is_a_success_that_says_so(boards, rows):
    first = boards.send_one(photos.photo(1))
    again = boards.send(("another name.png", photos.photo(1)))
    assert (again.status_code, tally(again)) == (200, (0, 1, 0))
    item = again.json()["items"][0]
    assert (item["image"]["id"], item["image"]["file_name"]) == (first["id"], "0.png")
    mixed = boards.send(photos.photo(1), photos.photo(2), photos.photo(2))
    assert mixed.status_code == 201
    assert statuses(mixed) == ["already_there", "created", "already_there"]
    assert len(rows()) == boards.count() == 2


def test_two_projects_have_their_own_row_of_the_same_photo(boards, client, rows):
    other = Uploader(client, "covers")
    other.create_project()
    ids = {boards.send_one(photos.photo())["id"], other.send_one(photos.photo())["id"]}
    assert len(ids) == 2
    assert {str(row.id) for row in rows()} == ids


def test_bad_files_in_the_middle_cost_only_themselves(boards, rows):
    bad = {
        "empty.png": (b"", "empty"),
        "scan.jpg": (photos.PDF, "unsupported"),
        "animation.png": (GIF, "unsupported"),
        "cut.png": (photos.photo()[:20], "corrupt"),
        "bomb.png": (photos.bomb(), "too_large"),
        "huge.png": (photos.huge(), "too_large"),
    }
    files = [(name, content) for name, (content, _) in bad.items()]
    files = [("first.png", photos.photo(1)), *files, ("last.png", photos.photo(2))]
    answer = boards.send(*files)
    assert (answer.status_code, tally(answer)) == (207, (2, 0, len(bad)))
    items = answer.json()["items"]
    assert [item["file_name"] for item in items] == [name for name, _ in files]
    for item, (_, reason) in zip(items[1:-1], bad.values(), strict=True):
        problem = item["problem"]
        assert (item["status"], item["image"]) == ("rejected", None)
        assert (problem["status"], problem["reason"]) == (422, reason)
        assert problem["type"] == "/problems/image-rejected"
        assert problem["detail"].endswith(".")
    nothing_else = boards.send(b"", photos.PDF)
    assert (nothing_else.status_code, tally(nothing_else)) == (207, (0, 0, 2))
    assert [row.file_name for row in rows()] == ["first.png", "last.png"]
    assert boards.count() == 2


def test_of_a_file_name_only_the_plain_last_part_is_kept(boards):
    names = {
        "C:\\photos\\傷 01.png": "傷 01.png",
        "../../etc/passwd": "passwd",
        "a\x07b.png": "ab.png",
        "x" * 300 + ".png": "x" * 255,
        "../": "unnamed",
    }
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="'
        + sent.encode().replace(b"\\", b"\\\\") + b'"\r\n\r\n' + photos.photo(n) + b"\r\n"
        for n, sent in enumerate(names)
    ]  # fmt: skip
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = boards.client.post(
        boards.path, content=b"".join([*parts, b"--x--\r\n"]), headers=headers
    )
    assert [item["file_name"] for item in answer.json()["items"]] == list(names.values())


def test_metadata_for_all_or_for_each(boards, rows):
    for_all = {"line": "L2", "station": "AOI-1", "camera": "top", "lot": "A", "part": "P-1"}
    boards.send(photos.photo(1), photos.photo(2), metadata=json.dumps(for_all))
    for row in rows():
        assert {name: getattr(row, name) for name in for_all} == for_all
    for_each = '[{"camera": "top"}, {"camera": "side"}]'
    boards.send(photos.photo(3), photos.photo(4), metadata=for_each)
    assert [row.camera for row in rows()[2:]] == ["top", "side"]
    answer = boards.send(photos.photo(5), photos.photo(6), metadata='[{"lot": "A"}]')
    assert answer.status_code == 422
    assert "1 entries for 2 files" in answer.json()["detail"]
    assert len(rows()) == 4


def test_members_that_kizu_does_not_know_are_kept_as_details(boards):
    image = boards.send_one(
        photos.photo(), metadata='{"lot": "A", "exposure_ms": 2.5, "rack": {"row": 3}}'
    )
    assert image["details"] == {"exposure_ms": 2.5, "rack": {"row": 3}}


def test_a_time_without_zone_is_the_factorys(boards, rows):
    times = {
        "2026-11-05T08:00:00": datetime(2026, 11, 4, 23, tzinfo=UTC),
        "2026-11-05T08:00:00+01:00": datetime(2026, 11, 5, 7, tzinfo=UTC),
    }
    metadata = json.dumps([{"captured_at": sent} for sent in times])
    boards.send(photos.photo(1), photos.photo(2), metadata=metadata)
    assert [row.captured_at for row in rows()] == list(times.values())


IMPOSSIBLE_TIMES = (
    "0001-01-01T00:00:00",
    "1899-12-31T23:59:59Z",
    "9999-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
)


def test_a_time_that_no_camera_had_costs_only_its_own_file(boards, client, rows):
    """Nobody could read a row again whose time, in UTC, lies before the year 1."""
    sound = ["1900-01-01T00:00:00Z", "9998-12-31T23:59:59Z"]
    metadata = json.dumps([{"captured_at": sent} for sent in (*IMPOSSIBLE_TIMES, *sound)])
    answer = boards.send(*(photos.photo(n) for n in range(6)), metadata=metadata)
    assert statuses(answer) == ["rejected"] * 4 + ["created"] * 2
    problem = answer.json()["items"][0]["problem"]
    assert problem["status"] == 422
    assert "captured_at" in problem["detail"]
    listed = client.get(boards.path, params={"sort": "captured_at"})
    assert listed.status_code == 200
    assert len(listed.json()["items"]) == len(rows()) == 2


def test_invalid_metadata_says_where(boards, rows):
    wrong = {
        "{": "#/metadata",
        '"lot A"': "#/metadata",
        '{"captured_at": "yesterday"}': "captured_at",
        '{"split": "holdout"}': "split",
        '{"line": ""}': "line",
        '{"line": "' + "x" * 201 + '"}': "line",
        '{"lot": 7}': "lot",
    }
    for metadata, pointer in wrong.items():
        answer = boards.send(photos.photo(), metadata=metadata)
        problem = answer.json()
        assert (answer.status_code, problem["status"]) == (422, 422)
        assert any(pointer in error["pointer"] for error in problem["errors"])
    assert rows() == []


def test_text_that_no_database_holds_costs_only_its_own_file(boards, rows):
    metadata = r'[{"lot": "a\u0000b"}, {"lot": "A"}, {"note": ["\u0000"]}]'
    answer = boards.send(photos.photo(1), photos.photo(2), photos.photo(3), metadata=metadata)
    assert answer.status_code == 207
    assert statuses(answer) == ["rejected", "created", "rejected"]
    assert [row.lot for row in rows()] == ["A"]


def test_what_is_no_upload(boards, rows, settings):
    form = "multipart/form-data; boundary=x"
    part = b'--x\r\nContent-Disposition: form-data; name="'
    wrong = [
        (b"", form, 400),
        (b"{}", "application/json", 400),
        (b"{}", "multipart/form-data", 400),
        (b"no form", form, 400),
        (part + b'files"; filename="a"\r\n\r\nabc', form, 400),
        (part + b'files"; filename="a"\r\n\r\nabc\r\n--x\r\n', form, 400),
        (b"--x\r\nContent-Type: image/png\r\n\r\nabc\r\n--x--\r\n", form, 400),
        (part + b'note"\r\n\r\nabc\r\n--x--\r\n', form, 422),
        (part + b'photos"; filename="a"\r\n\r\nabc\r\n--x--', form, 422),
    ]
    for body, content_type, status in wrong:
        answer = boards.client.post(
            boards.path, content=body, headers={"content-type": content_type}
        )
        assert (answer.status_code, answer.json()["status"]) == (status, status), body
        assert answer.headers["content-type"] == "application/problem+json"
    assert rows() == []
    assert list((settings.data_dir / "incoming").iterdir()) == []


def test_only_those_who_manage_may_upload(boards, session, rows):
    user = identity.create_user(session, email="eye@example.com", role=Role.REVIEWER)
    _, token = identity.create_token(session, user_id=user.id, name="tests")
    session.commit()
    boards.client.headers["Authorization"] = f"Bearer {token}"
    assert boards.send(photos.photo()).status_code == 403
    boards.client.headers.pop("Authorization")
    assert boards.send(photos.photo()).status_code == 401
    assert rows() == []


def test_a_project_that_is_not_there_or_archived_takes_no_photos(boards):
    assert Uploader(boards.client, "nobody").send(photos.photo()).status_code == 404
    path = "/api/v1/projects/boards"
    tag = boards.client.get(path).headers["etag"]
    boards.client.patch(path, json={"is_archived": True}, headers={"if-match": tag})
    assert boards.send(photos.photo()).status_code == 409

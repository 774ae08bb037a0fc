"""Labels over the API: names, prompts, hotkeys, order, archive, and what people said with them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.annotations import service as annotations
from app.annotations.models import LabelValue
from app.projects import service as projects
from app.projects.models import Counter
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import PseudoLabelState
from app.pseudolabels.rows import Proposal
from tests.factories import make_images, make_version

URL = "/api/v1/projects/boards/labels"
ANY = {"if-match": "*"}


@pytest.fixture(autouse=True)
def boards(add_project):
    return add_project("boards")


@pytest.fixture
def add_label(client):
    def add(key: str, **content):
        body = {"key": key, "names": {"en": key}, **content}
        answer = client.post(URL, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return add


def test_a_label_gets_what_was_left_out(client, add_label):
    first, second = add_label("one"), add_label("two")
    assert (first["position"], second["position"]) == (0, 1)
    assert first["colour"] != second["colour"]
    assert (first["miss_cost"], first["is_guarded"], first["hotkey"]) == (1.0, True, None)
    answer = client.get(f"{URL}/one")
    assert answer.json() == first
    assert answer.headers["etag"] == '"1"'
    assert [item["key"] for item in client.get(URL).json()["items"]] == ["one", "two"]


def test_prompts_come_from_the_glossary_by_the_japanese_name(add_label):
    label = add_label("kizu", names={"ja": "ｷｽﾞ"})
    assert "a photo of a scratch" in label["prompts"]
    assert add_label("unknown", names={"ja": "謎の不具合"})["prompts"] == []
    assert add_label("own", names={"ja": "傷"}, prompts=["a deep groove"])["prompts"] == [
        "a deep groove"
    ]


def test_glossary_prompts_follow_the_names_until_a_person_writes_some(client, add_label):
    label = add_label("mark", names={"ja": "傷"})
    edit = {"names": {"ja": "へこみ"}, "prompts": label["prompts"]}
    changed = client.patch(f"{URL}/mark", json=edit, headers={"if-match": '"1"'}).json()
    assert "a photo of a dent" in changed["prompts"]
    own = client.patch(f"{URL}/mark", json={"prompts": ["a ding"]}, headers=ANY).json()
    assert own["prompts"] == ["a ding"]
    renamed = client.patch(f"{URL}/mark", json={"names": {"ja": "傷"}}, headers=ANY).json()
    assert renamed["prompts"] == ["a ding"]
    emptied = client.patch(f"{URL}/mark", json={"prompts": []}, headers=ANY).json()
    assert "a photo of a scratch" in emptied["prompts"]


def test_the_glossary_suggests_prompts(client):
    answer = client.get("/api/v1/glossary", params={"ja": "塗装ハガレ"}).json()
    assert answer["phrases"][0] == "peeling paint"
    assert "a photo of peeling paint" in answer["prompts"]
    assert client.get("/api/v1/glossary", params={"ja": "謎"}).json() == {
        "phrases": [],
        "prompts": [],
    }


def test_the_form_of_the_labels_page_is_understood(client, add_label):
    add_label("scratch", hotkey="k")
    form = {
        "names": {"ja": "傷", "en": "Scratch"},
        "hotkey": None,
        "miss_cost": 2.5,
        "colour": "#aabbcc",
        "prompts": [],
    }
    answer = client.patch(f"{URL}/scratch", json=form, headers={"if-match": '"1"'})
    assert answer.status_code == 200, answer.text
    assert answer.json()["hotkey"] is None
    assert answer.json()["names"] == {"ja": "傷", "en": "Scratch"}
    assert client.patch(f"{URL}/scratch", json=form, headers={"if-match": '"1"'}).status_code == 412
    assert client.patch(f"{URL}/scratch", json=form).status_code == 428


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "Scratch"},
        {"names": {}},
        {"names": {"ja": " "}},
        {"names": {"fr": "rayure"}},
        {"hotkey": "x"},
        {"hotkey": "７"},
        {"hotkey": "ab"},
        {"colour": "red"},
        {"miss_cost": 0},
        {"prompts": [""]},
        {"weight": 3},
    ],
)
def test_what_cannot_be_is_refused(client, wrong):
    body = {"key": "scratch", "names": {"en": "Scratch"}, **wrong}
    answer = client.post(URL, json=body)
    assert answer.status_code == 422, answer.text
    assert client.get(URL).json()["items"] == []


def test_a_null_where_there_must_be_something_is_refused(client, add_label):
    add_label("scratch")
    answer = client.patch(f"{URL}/scratch", json={"miss_cost": None}, headers=ANY)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/miss_cost"


def test_keys_and_hotkeys_are_unique(client, add_label):
    add_label("scratch", hotkey="k")
    add_label("dent")
    again = client.post(URL, json={"key": "scratch", "names": {"en": "S"}})
    clash = client.post(URL, json={"key": "rust", "names": {"en": "R"}, "hotkey": "Ｋ"})
    rename = client.patch(f"{URL}/dent", json={"key": "scratch"}, headers=ANY)
    assert [a.status_code for a in (again, clash, rename)] == [409, 409, 409]
    assert "scratch" in clash.json()["detail"]
    client.post(f"{URL}/scratch/archive", headers=ANY)
    assert client.patch(f"{URL}/dent", json={"hotkey": "k"}, headers=ANY).status_code == 200
    assert client.post(f"{URL}/scratch/unarchive", headers=ANY).status_code == 409
    other = client.patch(f"{URL}/scratch", json={"hotkey": "j"}, headers=ANY)
    assert other.status_code == 200, other.text
    assert client.post(f"{URL}/scratch/unarchive", headers=ANY).status_code == 200


def test_the_order_is_given_as_a_whole(client, add_label):
    for key in ("one", "two", "three"):
        add_label(key)
    order = "/api/v1/projects/boards/label-order"
    answer = client.put(order, json={"keys": ["three", "one", "two"]}, headers=ANY)
    assert [item["key"] for item in answer.json()["items"]] == ["three", "one", "two"]
    assert [item["key"] for item in client.get(URL).json()["items"]] == ["three", "one", "two"]
    for wrong in (["one"], ["one", "one", "two"], ["one", "two", "four"]):
        assert client.put(order, json={"keys": wrong}, headers=ANY).status_code == 422


def test_of_two_orders_from_one_reading_the_second_is_refused(client, add_label):
    for key in ("one", "two", "three"):
        add_label(key)
    order = "/api/v1/projects/boards/label-order"
    read = {"if-match": client.get("/api/v1/projects/boards").headers["etag"]}
    assert client.put(order, json={"keys": ["two", "one", "three"]}).status_code == 428
    first = client.put(order, json={"keys": ["two", "one", "three"]}, headers=read)
    second = client.put(order, json={"keys": ["three", "two", "one"]}, headers=read)
    assert (first.status_code, second.status_code) == (200, 412)
    again = {"if-match": first.headers["etag"]}
    third = client.put(order, json={"keys": ["three", "two", "one"]}, headers=again)
    assert third.status_code == 200


def test_a_rename_and_an_archive_at_once_do_not_both_succeed(client, add_label, sessions):
    """The archive waits for whoever edits the labels, and only then reads what it checks."""
    add_label("scratch")
    seen = {"if-match": '"1"'}
    with ThreadPoolExecutor() as pool, sessions() as session:
        project = projects.get_project(session, "boards")
        projects.hold_project(session, project.id)
        archiving = pool.submit(client.post, f"{URL}/scratch/archive", headers=seen)
        wait_for_a_lock(session)
        label = projects.get_label(session, project.id, "scratch")
        projects.edit_label(session, label, {"names": {"en": "mark"}}, actor_id=None)
        session.commit()
        assert archiving.result().status_code == 412


def wait_for_a_lock(session):
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 10
    while not session.scalar(waiting) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_renaming_breaks_nothing_that_people_said(client, add_label, sessions):
    add_label("scratch")
    with sessions.begin() as session:
        project = projects.get_project(session, "boards")
        label = projects.labels_by_key(session, project.id)["scratch"]
        (image,) = make_images(session, project, 1)
        annotations.annotate(
            session,
            project_id=project.id,
            image_id=image.id,
            author_id=None,
            values={label.id: LabelValue.PRESENT},
            is_complete=True,
        )
    edit = {"key": "line_mark", "names": {"ja": "線傷"}}
    assert client.patch(f"{URL}/scratch", json=edit, headers=ANY).status_code == 200
    known = client.get(f"/api/v1/projects/boards/images/{image.id}/labels").json()["items"]
    assert [(item["label"], item["value"]) for item in known] == [("line_mark", "present")]


def test_a_label_added_later_is_unknown_on_finished_photos(client, add_label, sessions):
    add_label("scratch")
    with sessions.begin() as session:
        project = projects.get_project(session, "boards")
        label = projects.labels_by_key(session, project.id)["scratch"]
        (image,) = make_images(session, project, 1)
        annotations.annotate(
            session,
            project_id=project.id,
            image_id=image.id,
            author_id=None,
            values={label.id: LabelValue.ABSENT},
            is_complete=True,
        )
        session.refresh(image)
        assert image.reviewed_at
    add_label("dent")
    with sessions.begin() as session:
        session.add(image)
        session.refresh(image)
        assert image.reviewed_at
        assert annotations.truth(session, [image.id])[image.id].keys() == {label.id}


def test_the_archive_keeps_history_and_ends_suggestions(client, add_label, sessions):
    add_label("scratch")
    with sessions.begin() as session:
        project = projects.get_project(session, "boards")
        label = projects.labels_by_key(session, project.id)["scratch"]
        (image, seen) = make_images(session, project, 2)
        version = make_version(session, project, [label.id])
        said = annotations.annotate(
            session,
            project_id=project.id,
            image_id=seen.id,
            author_id=None,
            values={label.id: LabelValue.PRESENT},
            is_complete=False,
        )
        proposal = Proposal(image.id, label.id, LabelValue.PRESENT, 0.9, 0.8)
        assert pseudolabels.propose(session, version=version, rows=[proposal]) == 1
    answer = client.post(f"{URL}/scratch/archive", headers={"if-match": '"1"'})
    assert answer.status_code == 200, answer.text
    assert answer.json()["archived_at"]
    assert client.get(URL).json()["items"] == []
    everything = client.get(URL, params={"include_archived": True}).json()["items"]
    assert [item["key"] for item in everything] == ["scratch"]
    with sessions.begin() as session:
        counters = projects.counters(session, project.id)
        assert counters[Counter.PENDING_PSEUDO_LABELS] == 0
        assert pseudolabels.pending_for_images(session, [image.id]) == {image.id: []}
        assert annotations.history(session, seen.id)[0].id == said.id
        assert label.id in annotations.truth(session, [seen.id])[seen.id]
        assert pseudolabels.propose(session, version=version, rows=[proposal]) == 0
    stale = client.post(f"{URL}/scratch/unarchive", headers={"if-match": '"1"'})
    assert stale.status_code == 412
    back = client.post(f"{URL}/scratch/unarchive", headers={"if-match": '"2"'})
    assert back.json()["archived_at"] is None
    assert PseudoLabelState.SUPERSEDED in {
        row["state"]
        for row in client.get(
            "/api/v1/projects/boards/pseudo-labels", params={"state": "superseded"}
        ).json()["items"]
    }

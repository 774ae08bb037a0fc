"""The API of trainings and models: what starts, what is refused, who may, and with which ETag."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, select

from app.identity import service as identity
from app.identity.models import Role
from app.identity.permissions import Permission
from app.images.models import Split
from app.jobs.models import Job
from app.projects import service as projects
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.rows import PredictionRow
from app.training import gate, service
from app.training.gate import Comparison, Verdict
from app.training.models import ModelState
from tests.factories import make_project, make_user, make_version


@pytest.fixture
def path(line, client):
    """The project's address; what a test adds to `line` is there after `line.session.commit()`."""
    line.session.commit()
    return f"/api/v1/projects/{line.project.slug}"


def label_one(line):
    (image,) = line.images(1)
    line.state(image, scratch="present")
    line.session.commit()


def two_versions(line):
    first = line.version(1, ModelState.RETIRED)
    first.promoted_at = first.retired_at = first.created_at
    second = line.version(2, ModelState.LIVE, promoted_at=first.created_at)
    line.session.commit()
    return first, second


def test_a_training_is_accepted_as_a_job(line, client, path):
    label_one(line)
    body = {"seed": 7, "mode": "frozen", "resolution": 96, "epochs": 3, "predict": False}
    answer = client.post(f"{path}/trainings", json=body)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['id']}"
    assert answer.json()["kind"] == "train"
    unset = dict.fromkeys(("time_budget_seconds", "backbone", "grow_from", "lent_groups"))
    assert answer.json()["payload"] == body | unset


def test_a_training_needs_no_body_and_starts_once_per_key(line, client, path):
    label_one(line)
    headers = {"Idempotency-Key": "monday"}
    answers = [client.post(f"{path}/trainings", headers=headers).json()["id"] for _ in range(2)]
    assert answers[0] == answers[1]
    line.session.rollback()
    assert len(line.session.scalars(select(Job)).all()) == 1


def test_a_training_without_anything_to_learn_is_refused(client, path):
    answer = client.post(f"{path}/trainings")
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/not-enough-labels"


@pytest.mark.parametrize(
    "body",
    [
        {"resolution": 8},
        {"epochs": 0},
        {"mode": "guess"},
        {"seed": -1},
        {"backbone": ""},
        {"x": 1},
        {"scope": "some"},
        {"scope": "new_labels", "mode": "tune"},
    ],
)
def test_a_training_that_makes_no_sense_is_refused(client, path, body):
    assert client.post(f"{path}/trainings", json=body).status_code == 422


def test_new_labels_need_a_live_model_that_does_not_know_them(line, client, path):
    body = {"scope": "new_labels"}
    unborn = client.post(f"{path}/trainings", json=body)
    assert (unborn.status_code, unborn.json()["type"]) == (409, "/problems/conflict")
    _, live = two_versions(line)
    nothing = client.post(f"{path}/trainings", json=body)
    assert (nothing.status_code, nothing.json()["type"]) == (409, "/problems/no-new-label")
    assert "Version 2 knows every label" in nothing.json()["detail"]
    client.post(f"{path}/labels", json={"key": "crack", "names": {"en": "Crack"}})
    asked = client.post(f"{path}/trainings", json=body)
    assert asked.status_code == 202
    assert asked.json()["payload"]["grow_from"] == str(live.id)


def lender(line, assignment, keys=("scratch", "dent", "rust")):
    """Another project with a live model whose labels are grouped."""
    project = make_project(line.session, labels=keys)
    ids = [label.id for label in projects.list_labels(line.session, project.id)]
    card = {"contexts": {"assignment": assignment}}
    make_version(line.session, project, ids, number=4, card=card)
    line.session.commit()
    return project


def test_another_project_lends_its_groups_under_todays_keys(line, client, path):
    label_one(line)
    other = lender(line, [0, 1, 0], keys=("scratch", "old", "rust"))
    projects.labels_by_key(line.session, other.id)["old"].key = "dent"
    line.session.commit()
    answer = client.post(f"{path}/trainings", json={"groups_from": other.slug})
    assert answer.status_code == 202
    assert answer.json()["payload"]["lent_groups"] == {
        "origin": f"{other.slug}/models/4",
        "groups": {"scratch": 0, "dent": 1, "rust": 0},
    }


@pytest.mark.parametrize("assignment", [[0, 0, 1], [0, 0, 0], []])
def test_groups_that_say_nothing_here_are_not_lent(line, client, path, assignment):
    label_one(line)
    other = lender(line, assignment)
    answer = client.post(f"{path}/trainings", json={"groups_from": other.slug})
    assert answer.status_code == 409
    assert "say nothing about the labels here" in answer.json()["detail"]


def test_a_lender_must_be_there_and_have_a_live_model(line, client, path):
    label_one(line)
    unknown = client.post(f"{path}/trainings", json={"groups_from": "nowhere"})
    assert unknown.status_code == 404
    other = make_project(line.session)
    line.session.commit()
    answer = client.post(f"{path}/trainings", json={"groups_from": other.slug})
    assert answer.status_code == 409
    assert "no live model" in answer.json()["detail"]


def test_who_may_not_read_gets_no_groups_of_another_project(line, client, path):
    label_one(line)
    other = lender(line, [0, 1, 0])
    user = make_user(line.session, role=Role.ENGINEER)
    _, token = identity.create_token(
        line.session, user_id=user.id, name="trains only", scopes=[Permission.MANAGE]
    )
    line.session.commit()
    client.headers["Authorization"] = f"Bearer {token}"
    assert client.post(f"{path}/trainings", json={"groups_from": other.slug}).status_code == 403
    assert client.post(f"{path}/trainings").status_code == 202


def test_a_prediction_needs_a_live_model(line, client, path):
    assert client.post(f"{path}/predictions").status_code == 409
    first, second = two_versions(line)
    answer = client.post(f"{path}/predictions", json={})
    assert answer.status_code == 202
    assert answer.json()["payload"]["model_version_id"] == str(second.id)
    retired = client.post(f"{path}/predictions", json={"model_version_id": str(first.id)})
    assert retired.status_code == 409
    unknown = client.post(f"{path}/predictions", json={"model_version_id": str(line.project.id)})
    assert unknown.status_code == 404


def test_models_are_listed_newest_first_page_by_page(line, client, path):
    two_versions(line)
    page = client.get(f"{path}/models", params={"limit": 1}).json()
    assert [model["number"] for model in page["items"]] == [2]
    assert page["items"][0]["labels"] == ["scratch", "dent"]
    rest = client.get(f"{path}/models", params={"cursor": page["next_cursor"]}).json()
    assert [model["number"] for model in rest["items"]] == [1]
    assert rest["next_cursor"] is None
    assert client.get(f"{path}/models", params={"cursor": "nonsense"}).status_code == 400


def measured(line):
    """A live version that is good at scratches and, its gate says, bad at dents."""
    scratch, dent = (str(label.id) for label in line.labels)
    figures = {
        member: {scratch: {"value": 0.9}, dent: {"value": 0.1}} for member in ("ap", "recall")
    }
    comparisons = {scratch: Comparison(20, 0.1, 0.05, 0.2), dent: Comparison(20, -0.5, -0.6, -0.4)}
    version = line.version(
        1,
        ModelState.LIVE,
        metrics={"images": 40, "map": {"value": 0.5}, **figures, "labels": dict(figures["ap"])},
        gate=gate.judge(comparisons, guarded={scratch, dent}, margin=0.05, against=7),
    )
    line.session.commit()
    return version


def rename(client, path, before, after):
    answer = client.patch(f"{path}/labels/{before}", json={"key": after}, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


def test_figures_follow_a_label_that_is_renamed(line, client, path):
    version = measured(line)
    rename(client, path, "scratch", "line_mark")
    rename(client, path, "dent", "scratch")
    (listed,) = client.get(f"{path}/models").json()["items"]
    detail = client.get(f"{path}/models/{version.id}").json()
    for found in (listed, detail):
        assert found["labels"] == ["line_mark", "scratch"]
        for member in ("ap", "recall", "labels"):
            assert found["metrics"][member] == {
                "line_mark": {"value": 0.9},
                "scratch": {"value": 0.1},
            }
        assert found["gate"]["labels"]["scratch"]["verdict"] == Verdict.MAY_BE_WORSE
        assert "on: scratch." in found["gate"]["reason"]


def test_pages_of_models_follow_a_label_that_is_renamed(line, client, path):
    measured(line)
    rename(client, path, "scratch", "line_mark")
    rename(client, path, "dent", "scratch")
    client.cookies.set("kizu_language", "en")
    shares = []
    for page in ("models", "models/1"):
        text = client.get(f"/projects/{line.project.slug}/{page}").text
        shares.append([float(share) for share in re.findall(r"([\d.]+)%", text)])
    assert shares == [[50, 90, 10], [50, 90, 10]]
    assert text.index("10.0 points better") < text.index("50.0 points worse"), "as the gate found"


def test_the_listing_costs_the_same_however_many_there_are(line, client, path, engine):
    def count() -> int:
        statements = []
        app_engine = client.app.state.sessions.kw["bind"]

        def note(connection, cursor, statement, *_):
            statements.append(statement)

        event.listen(app_engine, "before_cursor_execute", note)
        client.get(f"{path}/models")
        event.remove(app_engine, "before_cursor_execute", note)
        return len(statements)

    two_versions(line)
    count()  # the first request of a token also notes its use
    few = count()
    for number in range(3, 9):
        line.version(number, ModelState.CANDIDATE)
    line.session.commit()
    assert count() == few


def test_a_model_is_promoted_under_its_etag(line, client, path):
    first, second = two_versions(line)
    read = client.get(f"{path}/models/{first.id}")
    assert read.json()["snapshot_sha256"] == "0"
    promote = f"{path}/models/{first.id}/promote"
    assert client.post(promote).status_code == 428
    assert client.post(promote, headers={"If-Match": '"99"'}).status_code == 412
    answer = client.post(promote, headers={"If-Match": read.headers["etag"]})
    assert answer.status_code == 200
    assert answer.json()["state"] == "live"
    assert answer.headers["etag"] != read.headers["etag"]
    again = client.post(promote, headers={"If-Match": answer.headers["etag"]})
    assert again.status_code == 409
    line.session.expire_all()
    assert second.state == ModelState.RETIRED
    (job,) = line.session.scalars(select(Job).where(Job.kind == "predict"))
    assert job.payload["model_version_id"] == str(first.id)


def test_roll_back_answers_with_the_version_that_is_live_now(line, client, path):
    url = f"{path}/models/roll-back"
    assert client.post(url, headers={"If-Match": "*"}).status_code == 409
    first, _ = two_versions(line)
    answer = client.post(url, headers={"If-Match": "*"})
    assert answer.status_code == 200
    assert answer.json()["id"] == str(first.id)
    assert client.post(url, headers={"If-Match": answer.headers["etag"]}).status_code == 409


def walk_up(line, count):
    """So many versions that went live one after the other, each by a promotion."""
    versions = [line.version(number + 1, ModelState.CANDIDATE) for number in range(count)]
    for version in versions:
        service.promote(line.session, version, actor_id=None)
        line.session.commit()
    return versions


def test_two_who_roll_back_the_same_version_go_one_version_back(line, client, path):
    walk_up(line, 4)
    url = f"{path}/models/roll-back"
    assert client.post(url).status_code == 428
    tag = client.get(f"{path}/models/{live_id(client, path)}").headers["etag"]
    for expected in (3, 2):
        with ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(lambda _, seen=tag: client.post(url, headers={"If-Match": seen}), "1234")
            )
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
        (done,) = (answer for answer in answers if answer.status_code == 200)
        assert done.json()["number"] == expected
        tag = done.headers["etag"]


def live_id(client, path):
    models = client.get(f"{path}/models").json()["items"]
    return next(model["id"] for model in models if model["state"] == "live")


def test_the_page_says_which_live_version_it_would_roll_back(line, client, path):
    version = walk_up(line, 2)[-1]
    text = client.get(f"/projects/{line.project.slug}/models/2").text
    assert f'models/roll-back" data-etag=\'"{version.version}"\'' in text


def test_reviewers_read_and_do_not_decide(line, client, path):
    _, second = two_versions(line)
    user = identity.create_user(line.session, email="eye@example.com", role=Role.REVIEWER)
    _, token = identity.create_token(line.session, user_id=user.id, name="eye")
    line.session.commit()
    client.headers["Authorization"] = f"Bearer {token}"
    assert client.get(f"{path}/models/{second.id}").status_code == 200
    model = f"models/{second.id}"
    refused = (
        "trainings",
        "predictions",
        "models/roll-back",
        f"{model}/promote",
        f"{model}/exports",
    )
    for address in refused:
        assert client.post(f"{path}/{address}").status_code == 403


def test_unknown_models_are_not_found(client, path, line):
    for method, address in (
        ("GET", ""),
        ("POST", "/promote"),
        ("GET", "/predictions"),
        ("POST", "/exports"),
    ):
        url = f"{path}/models/{line.project.id}{address}"
        assert client.request(method, url, headers={"If-Match": "*"}).status_code == 404


def test_predictions_are_listed_by_image_and_split(line, client, path):
    _, version = two_versions(line)
    images = [*line.images(3), *line.images(2, split=Split.TEST)]
    rows = [PredictionRow(image.id, [0.25, 0.75], [1.0], 0.5, 0.25) for image in images]
    pseudolabels.store_predictions(line.session, version=version, rows=rows)
    images[0].deleted_at = images[0].created_at
    line.session.commit()
    url = f"{path}/models/{version.id}/predictions"
    page = client.get(url, params={"limit": 3}).json()
    assert [row["image_id"] for row in page["items"]] == [str(image.id) for image in images[1:4]]
    assert page["items"][0] == {
        "image_id": str(images[1].id),
        "probabilities": {"scratch": 0.25, "dent": 0.75},
        "contexts": [1.0],
        "uncertainty": 0.5,
        "margin": 0.25,
        "novelty": None,
    }
    rest = client.get(url, params={"cursor": page["next_cursor"]}).json()
    assert [row["image_id"] for row in rest["items"]] == [str(images[4].id)]
    vault = client.get(url, params={"split": "test"}).json()["items"]
    assert {row["image_id"] for row in vault} == {str(image.id) for image in images[3:]}

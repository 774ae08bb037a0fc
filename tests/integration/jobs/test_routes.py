"""Jobs over HTTP: listings, one job with its log, cancelling."""

import pytest

from app.core.clock import now
from app.core.ids import new_id
from app.jobs import service
from app.jobs.models import JobKind
from app.jobs.service import LogLine
from tests.factories import make_project
from tests.integration.jobs.conftest import LEASE, TERMS


def ids(response):
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


def test_jobs_are_listed_newest_first_page_by_page(client, session, make_job):
    project = make_project(session)
    made = [str(make_job(project_id=project.id).id) for _ in range(3)]
    make_job()
    path = f"/api/v1/projects/{project.slug}/jobs"
    first = client.get(path, params={"limit": 2}).json()
    rest = client.get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None
    assert len(ids(client.get("/api/v1/jobs"))) == 4


def test_jobs_are_filtered_by_kind_and_state(client, session, make_job):
    training, export = make_job(JobKind.TRAIN), make_job()
    service.request_cancel(session, export)
    session.commit()
    assert ids(client.get("/api/v1/jobs", params={"kind": "train"})) == [str(training.id)]
    assert ids(client.get("/api/v1/jobs", params={"state": "cancelled"})) == [str(export.id)]
    assert client.get("/api/v1/jobs", params={"state": "lost"}).status_code == 422


def test_a_job_shows_its_progress_and_the_end_of_its_log(client, session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    news = {"progress": 0.25, "stage": "warm_up", "eta_seconds": 9.0, "metrics": {"loss": 0.5}}
    service.renew(session, job.id, job.fencing_token, LEASE, news)
    service.add_log(session, job.id, [LogLine(now(), "info", f"line {n}") for n in range(60)])
    session.commit()
    body = client.get(f"/api/v1/jobs/{job.id}").json()
    assert {name: body[name] for name in news} == news
    assert (body["state"], body["attempts"]) == ("running", 1)
    assert body["payload"]["format"] == "csv"
    assert [line["message"] for line in body["log"]] == [f"line {n}" for n in range(10, 60)]


def test_the_whole_log_can_be_read_from_either_end(client, session, make_job):
    job = make_job()
    service.add_log(session, job.id, [LogLine(now(), "info", str(n)) for n in range(5)])
    session.commit()
    path, seen, cursor = f"/api/v1/jobs/{job.id}/log", [], {}
    while True:
        page = client.get(path, params={"limit": 2, **cursor}).json()
        seen += [line["message"] for line in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == list("01234")
    newest = client.get(path, params={"limit": 2, "order": "newest"}).json()["items"]
    assert [line["message"] for line in newest] == ["4", "3"]


def test_an_error_is_told_in_words(client, session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    error = {"title": "No", "detail": "No image has a label yet.", "code": "conflict"}
    service.fail(session, job, error)
    session.commit()
    assert client.get(f"/api/v1/jobs/{job.id}").json()["error"] == error


def test_cancelling(client, session, make_job):
    job = make_job()
    response = client.post(f"/api/v1/jobs/{job.id}/cancel")
    assert response.status_code == 202
    assert response.json()["state"] == "cancelled"
    assert client.post(f"/api/v1/jobs/{job.id}/cancel").status_code == 202


def test_cancelling_what_has_ended_is_a_conflict(client, session, make_job):
    job = service.claim(session, make_job().id, TERMS)
    service.succeed(session, job, {})
    session.commit()
    response = client.post(f"/api/v1/jobs/{job.id}/cancel")
    assert response.status_code == 409
    assert response.json()["detail"] == "The job has succeeded already."


@pytest.mark.parametrize("path", ["", "/log", "/events"])
def test_an_unknown_job_is_not_found(client, path):
    assert client.get(f"/api/v1/jobs/{new_id()}{path}").status_code == 404


@pytest.mark.parametrize("path", ["", "/log", "/events"])
def test_nobody_reads_jobs_without_signing_in(anonymous, make_job, path):
    assert anonymous.get(f"/api/v1/jobs/{make_job().id}{path}").status_code == 401

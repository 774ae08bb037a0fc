"""The pages of jobs, as the server writes them: what can be set, what came of it, what to do."""

import pytest

from app.core.clock import now
from app.jobs.models import Job, JobKind, JobState
from app.projects import service as projects
from app.training import gate
from app.training.gate import Comparison
from app.training.models import ModelState
from tests.factories import make_label, make_project, make_version


class Office:
    def __init__(self, session, client):
        self.session, self.client = session, client
        self.project = make_project(session)
        self.labels = [label.id for label in projects.list_labels(session, self.project.id)]

    def job(self, state, **columns):
        given = {"kind": JobKind.TRAIN, "payload": {}, **columns}
        job = Job(project_id=self.project.id, state=state, **given)
        self.session.add(job)
        self.session.flush()
        return job

    def page(self, job=None, language="en"):
        self.session.commit()
        self.client.cookies.set("kizu_language", language)
        place = f"/{job.id}" if job else ""
        answer = self.client.get(f"/projects/{self.project.slug}/jobs{place}")
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture
def office(session, client):
    return Office(session, client)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("not-enough-labels", "Label more photos"),
        ("given-up", "Give the worker more memory"),
        ("backbone-unusable", "Choose another backbone"),
        ("out-of-space", "Free some space"),
        ("internal-error", "show the log below"),
    ],
)
def test_a_training_that_failed_says_why_and_what_to_do(office, code, advice):
    error = {"title": "It failed", "detail": "As planted.", "code": code}
    said = office.page(office.job(JobState.FAILED, error=error))
    said = said.partition('id="failure"')[2].partition("</div>")[0]
    assert "As planted." in said
    assert advice in said
    assert "the live version goes on" in said


def test_a_training_that_ended_leads_to_its_version_and_says_what_changed(office):
    scratch = str(office.labels[0])
    document = gate.judge(
        {scratch: Comparison(20, -0.1, -0.2, 0.01)}, guarded={scratch}, margin=0.05, against=1
    )
    live = make_version(office.session, office.project, office.labels)
    made = make_version(
        office.session,
        office.project,
        office.labels,
        number=2,
        state=ModelState.CANDIDATE,
        gate=document,
    )
    result = {"model_version_id": str(made.id), "number": 2}
    job = office.job(JobState.SUCCEEDED, result=result, finished_at=now())
    text = office.page(job)
    assert "It may be worse than version 1 on: scratch." in text
    assert "10.0 points worse (" in text.replace("\n", "").replace('<span class="muted small">', "")
    assert f"models/compare?versions={live.number},2" in text
    listing = office.page()
    assert f"/projects/{office.project.slug}/models/2" in listing


def test_jobs_that_make_no_version_show_none(office):
    job = office.job(JobState.SUCCEEDED, kind=JobKind.EXPORT, result={"file_name": "x.zip"})
    assert 'id="made"' not in office.page(job)


def test_who_asked_and_what_was_set_is_said(office):
    payload = {"time_budget_seconds": 900, "mode": "frozen", "grow_from": None}
    text = office.page(office.job(JobState.QUEUED, payload=payload))
    assert "at most about 15 min" in text
    assert "frozen backbone" in text
    assert "waits for its turn" in text
    assert "順番を待っています" in office.page(
        office.job(JobState.QUEUED, payload=payload), language="ja"
    )


def test_what_is_being_cancelled_is_not_cancelled_again(office):
    running = office.job(JobState.RUNNING, stage="Learning from labels")
    assert f"POST /jobs/{running.id}/cancel" in office.page(running)
    running.cancel_requested = True
    assert "/cancel" not in office.page(running)


def test_new_labels_are_offered_only_where_there_are_some(office):
    assert "Learn new labels only" not in office.page()
    make_version(office.session, office.project, office.labels)
    assert "Learn new labels only" not in office.page()
    make_label(office.session, office.project, "rust", position=2)
    text = office.page()
    assert "The live version does not know: rust." in text
    assert "Learn new labels only" in text

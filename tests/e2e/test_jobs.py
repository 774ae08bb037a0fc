"""The page of a job: how it went and what came of it, from what the worker left."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from app.core.db import transaction
from app.jobs.models import Job, JobKind, JobLogLine, JobState
from app.projects import service as projects

pytestmark = pytest.mark.page
COURSE = {
    "stages": [[0.0, "Measuring confidence"], [0.4, "Learning from labels"]],
    "curves": {"loss": [[0.0, 2.0], [0.5, 1.0], [1.0, 0.25]], "validation_map": [[1.0, 0.8]]},
}


def test_the_loss_is_drawn_and_what_has_no_course_is_not(watched, workplace):
    workplace.add_project("parts")
    with transaction(workplace.sessions) as session:
        project = projects.get_project(session, "parts")
        job = Job(
            project_id=project.id,
            kind=JobKind.TRAIN,
            payload={},
            state=JobState.SUCCEEDED,
            metrics={"loss": 0.25, "course": COURSE},
        )
        session.add(job)
        session.flush()
        address = f"/projects/parts/jobs/{job.id}"
    watched.sign_in()
    page = watched.page
    page.goto(address)
    loss = page.locator("[data-curve=loss]")
    expect(loss).to_be_visible()
    points = loss.locator("polyline").get_attribute("points").split()
    heights = [float(point.split(",")[1]) for point in points]
    assert len(points) == 3
    assert heights == sorted(heights), "it falls"
    expect(loss.locator("line.ideal")).to_have_count(1)
    expect(page.locator("[data-curve=validation_map]")).to_be_hidden()


def test_a_prediction_says_what_came_of_it_and_its_log_when_by_the_factory_clock(
    watched, workplace
):
    workplace.add_project("parts")
    with transaction(workplace.sessions) as session:
        project = projects.get_project(session, "parts")
        assert project.time_zone == "Asia/Tokyo"
        job = Job(
            project_id=project.id,
            kind=JobKind.PREDICT,
            payload={},
            state=JobState.SUCCEEDED,
            result={"images": 1200, "pseudo_labels": 3400},
        )
        session.add(job)
        session.flush()
        at = datetime(2026, 11, 27, 14, 43, 50, tzinfo=UTC)
        session.add(JobLogLine(job_id=job.id, at=at, level="info", message="Looks at them."))
        address = f"/projects/parts/jobs/{job.id}"
    watched.sign_in()
    page = watched.page
    page.goto(address)
    expect(page.get_by_text("1,200 photos · 3,400 suggestions")).to_be_visible()
    expect(page.locator("#log")).to_have_text("23:43:50  Looks at them.")

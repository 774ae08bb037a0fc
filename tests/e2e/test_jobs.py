"""The page of a training: how it went, drawn from what the worker left."""

import pytest
from playwright.sync_api import expect

from app.core.db import transaction
from app.jobs.models import Job, JobKind, JobState
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

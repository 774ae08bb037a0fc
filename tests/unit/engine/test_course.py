"""The course of a training keeps few points and smooths what moves at every step."""

import math

import pytest

from app.jobs.stages import JobStage
from worker.engine.course import POINTS, Course
from worker.learning.progress import Progress, Stage


def progress(fraction, **metrics):
    return Progress(Stage.WARM_UP, fraction, None, metrics)


def test_many_steps_leave_few_points_and_each_is_a_mean():
    course = Course()
    for step in range(10_000):
        course.note(progress(step / 10_000, loss=step % 2), JobStage.LEARN)
    curve = course.as_json()["curves"]["loss"]
    assert POINTS - 5 <= len(curve) <= POINTS + 1
    assert curve[50][1] == pytest.approx(0.5, abs=0.02)
    assert [at for at, _ in curve] == sorted(at for at, _ in curve)


def test_stages_are_marked_where_they_begin_and_what_is_not_finite_is_left_out():
    course = Course()
    course.note(progress(0.0), JobStage.READ_PHOTOS)
    course.note(progress(0.1, loss=math.nan), JobStage.LEARN)
    course.note(progress(0.2, loss=1.0), JobStage.LEARN)
    found = course.as_json()
    assert found["stages"] == [(0.0, JobStage.READ_PHOTOS), (0.1, JobStage.LEARN)]
    assert found["curves"] == {"loss": [(0.2, 1.0)]}

"""The overview says what to do next."""

import pytest

from app.web.project_pages import Progress
from app.web.requests import safe_destination


@pytest.mark.parametrize(
    ("progress", "following"),
    [
        (Progress(images=0, annotated=0, waiting=0, has_model=False), "upload"),
        (Progress(images=9, annotated=3, waiting=0, has_model=False), "annotate"),
        (Progress(images=900, annotated=20, waiting=0, has_model=False), "train"),
        (Progress(images=900, annotated=20, waiting=7, has_model=True), "review"),
        (Progress(images=900, annotated=900, waiting=0, has_model=True), None),
    ],
)
def test_the_first_step_not_done_comes_next(progress, following):
    states = progress.steps()
    assert next((name for name, state in states.items() if state == "next"), None) == following


@pytest.mark.parametrize("forged", [None, "", "https://elsewhere", "//elsewhere", "/\\elsewhere"])
def test_nobody_is_led_to_another_site(forged):
    assert safe_destination(forged) == "/projects"


def test_an_own_address_is_followed():
    assert safe_destination("/projects/parts?sort=file_name") == "/projects/parts?sort=file_name"

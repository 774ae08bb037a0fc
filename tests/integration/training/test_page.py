"""The page of a model version, as the server writes it."""

import pytest

from app.training.models import ModelState
from tests.factories import make_label

PROMISE = {"value": 1, "threshold": 0.934, "alpha": 0.05, "delta": 0.05}


@pytest.fixture
def page(client, line):
    """A function that reads the page of version 1 in a language."""

    def page(language: str = "en") -> str:
        line.session.commit()
        client.cookies.set("kizu_language", language)
        answer = client.get(f"/projects/{line.project.slug}/models/1")
        assert answer.status_code == 200
        return answer.text

    return page


def card(line, **more):
    return {"labels": [{"key": label.key} for label in line.labels], **more}


def test_promises_are_listed_under_todays_names(line, page):
    key = line.labels[0].key
    line.version(1, ModelState.LIVE, card=card(line, promises={key: [PROMISE]}))
    line.labels[0].key = "renamed"
    assert "≥ 93.4" in page()
    assert "誤り5%以下" in page("ja")


def test_no_promise_is_said_in_a_sentence(line, page):
    line.version(1, ModelState.LIVE, card=card(line, promises={}))
    assert "it takes 300 photos" in page()


def test_context_groups_are_shown_by_their_labels(line, page):
    make_label(line.session, line.project, "rust", position=2)
    count = len(line.labels)
    assignment = [0] * (count - 1) + [1]
    contexts = {"names": ["a", "b"], "assignment": assignment, "criterion": "modularity"}
    line.version(1, ModelState.LIVE, card=card(line, contexts=contexts))
    assert "No groups were found" not in page()


def test_one_group_is_no_group(line, page):
    contexts = {"names": ["all"], "assignment": [0] * len(line.labels), "criterion": "modularity"}
    line.version(1, ModelState.LIVE, card=card(line, contexts=contexts))
    assert "No groups were found" in page()

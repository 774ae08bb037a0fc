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


def test_reliability_is_drawn_before_and_after(line, page):
    bins = [
        {"low": 0.0, "high": 0.2, "count": 90, "confidence": 0.07, "frequency": 0.1},
        {"low": 0.8, "high": 1.0, "count": 10, "confidence": 0.93, "frequency": 0.6},
    ]
    diagrams = {"before": {"ece": 0.06, "bins": bins}, "after": {"ece": 0.012, "bins": bins[:1]}}
    line.version(1, ModelState.LIVE, metrics={"reliability": diagrams})
    drawn = page()
    assert drawn.count('<circle class="point" cx="16.8" cy="216.0"') == 2
    assert drawn.count('<circle class="point" cx="223.2" cy="96.0"') == 1
    assert "mean error 1.2%" in drawn
    assert "平均誤差 6.0%" in page("ja")


def test_a_version_without_evidence_has_no_reliability(line, page):
    line.version(1, ModelState.LIVE)
    assert "no photo was labelled to measure" in page()

"""The page of a model version, as the server writes it."""

import re

import pytest

from app.jobs.contracts import ExportModelResult, FormFigures
from app.jobs.models import JobState
from app.training import service
from app.training.models import ModelState
from app.training.schemas import ModelExportIn
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


def contexts(assignment, **more):
    names = [str(group) for group in sorted(set(assignment))]
    return {"names": names, "assignment": assignment, "criterion": "modularity", **more}


def test_context_groups_are_drawn_and_listed(line, page):
    for position, key in enumerate(("rust", "stain"), start=2):
        make_label(line.session, line.project, key, position=position)
    links = [{"first": 0, "second": 1, "npmi": 0.42}, {"first": 1, "second": 3, "npmi": 0.11}]
    found = contexts([0, 0, 1, 1], links=links)
    line.version(1, ModelState.LIVE, card=card(line, contexts=found, group_weight=0.63))
    text = page()
    assert "count 0.63 times as much" in text
    assert "<title>scratch – dent: 0.42</title>" in text
    assert text.count('class="hull hull-') == 2
    assert text.count('class="link is-between"') == 1
    assert "Fewer than 100 photos were labelled." in text
    assert "モジュラリティ" in page("ja")


def test_one_group_is_said_to_be_no_task(line, page):
    line.version(1, ModelState.LIVE, card=card(line, contexts=contexts([0, 0])))
    text = page()
    assert "One group: no context task." in text
    assert 'class="hull' not in text
    assert "文脈の学習は行いません" in page("ja")


def test_lent_groups_lead_to_their_lender(line, page):
    found = contexts([0, 1], origin="boards/models/3") | {"criterion": "transferred"}
    line.version(1, ModelState.LIVE, card=card(line, contexts=found))
    assert '<a href="/projects/boards/models/3">' in page()


def test_a_card_without_groups_has_no_picture(line, page):
    line.version(1, ModelState.LIVE, card=card(line))
    assert "label-graph" not in page()


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


def test_what_part_models_settled_is_said(line, page):
    config = {"plan": {"committees": 2}, "lambda_pairs": 0.0, "pseudo_labels": False}
    line.version(1, ModelState.LIVE, card=card(line, config=config))
    said = page().partition("Settled by held-out labels")[2]
    assert re.findall("<dd>(Used|Not used)</dd>", said) == ["Not used", "Not used"]
    assert "取り置いたラベルで決めたこと" in page("ja")


def test_what_a_score_is_made_of_is_said(line, page):
    voices = {"places": 0.62, "whole": 0.08, "decoder": 0.3}
    line.version(1, ModelState.LIVE, card=card(line, voice_shares=voices))
    said = re.findall("<li>([a-z ]+) <strong>([0-9]+%)</strong>", page())
    assert said == [("places", "62%"), ("whole photo", "8%"), ("second look at places", "30%")]
    assert "スコアの内訳" in page("ja")


def test_one_voice_needs_no_words(line, page):
    line.version(1, ModelState.LIVE, card=card(line, voice_shares={"places": 1.0}))
    assert "What a score is made of" not in page()


def test_a_version_that_tried_nothing_settled_nothing(line, page):
    line.version(1, ModelState.LIVE, card=card(line, config={"plan": {"committees": 1}}))
    assert "Settled by held-out labels" not in page()


def test_exported_files_are_offered_with_their_figures(line, page):
    version = line.version(1, ModelState.LIVE, card=card(line))
    onnx = {"largest_difference": 0.0012, "photos_per_second": 41.2}
    forms = [
        FormFigures(form="version", map=0.912),
        FormFigures(form="model.onnx", map=0.911, **onnx),
    ]
    job = service.start_export(line.session, version, ModelExportIn(), actor_id=None)
    job.state = JobState.SUCCEEDED
    job.result = ExportModelResult(
        blob_key="k",
        file_name="line-version-1-onnx.zip",
        media_type="application/zip",
        byte_size=9,
        photos=200,
        threads=2,
        forms=forms,
    ).model_dump(mode="json")
    text = page()
    assert f"/exports/{job.id}/file" in text
    assert all(figure in text for figure in ("91.2%", "91.1%", "0.12%", ">41<", "200 photos"))
    job.files_removed_at = job.created_at
    assert f"/exports/{job.id}/file" not in page()

"""Two versions on the photos that both looked at, over HTTP and on their page."""

from uuid import uuid4

import pytest
from sqlalchemy import event

from app.annotations import service as annotations
from app.annotations.models import LabelValue, Source
from app.images.models import Split
from app.projects import service as projects
from app.pseudolabels import service
from app.pseudolabels.rows import PredictionRow
from app.training.models import ModelState
from tests.factories import make_images, make_label, make_project, make_version

PRESENT, ABSENT = LabelValue.PRESENT, LabelValue.ABSENT


class Pair:
    """A project with the live version 1 and the candidate 2, which say these probabilities of
    `scratch`; of `dent` nobody says anything."""

    def __init__(self, session, client):
        self.session, self.client = session, client
        self.project = make_project(session)
        self.labels = [label.id for label in projects.list_labels(session, self.project.id)]
        self.old = make_version(session, self.project, self.labels)
        self.new = self.candidate(2, self.labels)
        session.commit()

    def candidate(self, number, labels):
        return make_version(
            self.session, self.project, labels, number=number, state=ModelState.CANDIDATE
        )

    def ask(self, value, *scores, split=Split.EVALUATION, source=Source.HUMAN, label=0):
        """One more photo: what is said of it, and the probability by each version in turn."""
        (image,) = make_images(self.session, self.project, 1, split=split)
        annotations.annotate(
            self.session,
            project_id=self.project.id,
            image_id=image.id,
            author_id=None,
            values={self.labels[label]: value},
            is_complete=False,
            source=source,
        )
        for version, score in zip((self.old, self.new), scores, strict=False):
            known = [score] * len(version.label_ids)
            row = PredictionRow(image.id, known, [1.0], 0.5, 0.1)
            service.store_predictions(self.session, version=version, rows=[row])
        self.session.commit()
        return str(image.id)

    def ask_many(self, positives=12, negatives=24):
        """Photos that the new version ranks as people do, and the old one the other way round."""
        for number in range(positives):
            self.ask(PRESENT, 0.1 + 0.001 * number, 0.9 + 0.001 * number)
        for number in range(negatives):
            self.ask(ABSENT, 0.8 + 0.001 * number, 0.2 - 0.001 * number)

    def get(self, version=None, **query):
        path = f"/api/v1/projects/{self.project.slug}/models/{(version or self.new).id}/comparison"
        return self.client.get(path, params=query)

    def found(self, **query):
        answer = self.get(**query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def page(self, query, language="en"):
        self.client.cookies.set("kizu_language", language)
        return self.client.get(f"/projects/{self.project.slug}/models/compare?{query}")


@pytest.fixture
def pair(session, client):
    return Pair(session, client)


def test_the_live_version_is_what_one_is_compared_with(pair):
    pair.ask_many()
    found = pair.found()
    assert (found["number"], found["against"], found["photos"]) == (2, 1, 36)
    scratch, dent = sorted(found["labels"], key=lambda one: one["label"], reverse=True)
    assert (scratch["positives"], scratch["photos"], scratch["finding"]) == (12, 36, "better")
    assert scratch["ap"]["value"] == 1.0
    assert scratch["difference"]["low"] > 0.3
    assert scratch["difference"]["value"] == pytest.approx(1 - scratch["against_ap"]["value"])
    assert (dent["photos"], dent["ap"], dent["finding"]) == (0, None, None)
    assert (found["mended_count"], found["newly_wrong_count"]) == (36, 0)
    back = pair.get(pair.old, against=str(pair.new.id)).json()
    assert (back["number"], back["against"], back["newly_wrong_count"]) == (1, 2, 36)


def test_changed_answers_come_by_their_swing(pair):
    mended = [pair.ask(ABSENT, 0.9, 0.1), pair.ask(PRESENT, 0.4, 0.7)]
    (wrong,) = [pair.ask(PRESENT, 0.8, 0.2)]
    pair.ask(PRESENT, 0.8, 0.9)
    found = pair.found()
    assert [one["image_id"] for one in found["mended"]] == mended
    assert [one["image_id"] for one in found["newly_wrong"]] == [wrong]
    assert (found["mended"][0]["before"], found["mended"][0]["after"]) == (0.9, 0.1)
    assert (found["mended"][0]["value"], found["mended"][0]["label"]) == ("absent", "scratch")
    few = pair.found(limit=1)
    assert (len(few["mended"]), few["mended_count"]) == (1, 2)


def test_only_what_both_saw_and_people_said_of_photos_to_measure_with_counts(pair):
    pair.ask(PRESENT, 0.1, 0.9, split=Split.TRAIN)
    pair.ask(PRESENT, 0.1, 0.9, split=Split.TEST)
    pair.ask(PRESENT, 0.1, 0.9, source=Source.AUTO)
    pair.ask(PRESENT, 0.1)
    assert pair.found()["photos"] == 0
    pair.ask(LabelValue.UNSURE, 0.1, 0.9)
    found = pair.found()
    assert found["photos"] == 1
    assert found["mended_count"] == 0


def test_a_label_that_the_other_version_does_not_know_has_no_difference(pair):
    rust = make_label(pair.session, pair.project, "rust", position=2)
    pair.labels.append(rust.id)
    pair.new = pair.candidate(3, pair.labels)
    pair.ask(PRESENT, 0.1, 0.9, label=2)
    by_key = {one["label"]: one for one in pair.found()["labels"]}
    assert by_key.keys() == {"scratch", "dent", "rust"}
    assert by_key["rust"]["ap"]["value"] == 1.0
    assert (by_key["rust"]["against_ap"], by_key["rust"]["difference"]) == (None, None)
    text = pair.page("versions=1,3").text
    assert "not known to it" in text


def test_what_cannot_be_compared_is_refused(pair):
    assert pair.get(against=str(uuid4())).status_code == 404
    itself = pair.get(against=str(pair.new.id))
    assert (itself.status_code, itself.json()["type"]) == (422, "/problems/invalid")
    pair.old.state = ModelState.RETIRED
    pair.session.commit()
    assert "say which version" in pair.get().json()["detail"]
    assert pair.get(against="x").status_code == 422
    assert pair.get(limit=0).status_code == 422


def test_the_page_takes_as_many_queries_however_many_photos(pair):
    bind = pair.client.app.state.sessions.kw["bind"]
    statements = []

    def count():
        statements.clear()
        pair.page("versions=1,2")
        return len(statements)

    def remember(_connection, _cursor, statement, *_rest):
        statements.append(statement)

    pair.ask(PRESENT, 0.1, 0.9)
    pair.page("versions=1,2")
    event.listen(bind, "before_cursor_execute", remember)
    few = count()
    pair.ask_many()
    assert count() == few < 20
    event.remove(bind, "before_cursor_execute", remember)


def test_the_page_says_who_is_better_and_shows_whose_answers_changed(pair):
    pair.ask_many()
    wrong = pair.ask(PRESENT, 0.8, 0.2)
    answer = pair.page("versions=2&versions=1")
    assert answer.status_code == 200
    precision = answer.text.partition('id="precision"')[2].partition("</section>")[0]
    assert "37 photos" in precision
    assert "points better" in precision
    assert '<span class="tag good">Better</span>' in precision
    assert precision.count('class="lane-range') == 2
    changed = answer.text.partition('id="changes-2"')[2].partition("</section>")[0]
    assert f"/images/{wrong}/thumbnail" in changed.partition("Newly wrong")[2]
    assert "80% → 20%" in changed
    assert "ポイント良い" in pair.page("versions=1,2", language="ja").text


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 422, "Choose two or three versions"),
        ("versions=1", 422, "Choose two or three versions"),
        ("versions=1,1", 422, "Choose two or three versions"),
        ("versions=1,9", 404, "no version 9"),
        ("versions=one,2", 404, "no version one"),
    ],
)
def test_a_choice_that_cannot_be_compared_can_be_mended(pair, query, status, words):
    answer = pair.page(query)
    assert answer.status_code == status
    assert words in answer.text
    ticked = answer.text.count(" checked")
    assert ticked == (query != "")
    assert answer.text.count('name="versions"') == 2


def test_a_candidate_that_never_looked_is_offered_to(pair):
    text = pair.page("versions=1,2").text
    assert "Version 2 has not looked at the photos yet" in text
    assert f'name="model_version_id" value="{pair.new.id}"' in text
    assert "perhaps on different photos" in text
    assert "points better" not in text

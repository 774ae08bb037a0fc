"""A version's worst mistakes, over HTTP and on its page."""

import pytest

from app.annotations import service as annotations
from app.annotations.models import LabelValue
from app.images.models import Split
from app.projects import service as projects
from app.pseudolabels import mistakes, service
from app.pseudolabels.rows import PredictionRow
from tests.factories import make_images, make_project, make_user, make_version

PRESENT, ABSENT = LabelValue.PRESENT, LabelValue.ABSENT


class Exam:
    """A project whose version says these probabilities of `scratch` where people say `values`."""

    def __init__(self, session, client):
        self.session, self.client = session, client
        self.project = make_project(session)
        self.labels = projects.list_labels(session, self.project.id)
        label_ids = [label.id for label in self.labels]
        self.version = make_version(session, self.project, label_ids)
        self.person = make_user(session)

    def ask(self, *answers, split=Split.EVALUATION):
        images = make_images(self.session, self.project, len(answers), split=split)
        for image, (value, probability) in zip(images, answers, strict=True):
            annotations.annotate(
                self.session,
                project_id=self.project.id,
                image_id=image.id,
                author_id=self.person.id,
                values={self.labels[0].id: value},
                is_complete=False,
            )
            row = PredictionRow(image.id, [probability, 0.5], [1.0], 0.5, 0.1)
            service.store_predictions(self.session, version=self.version, rows=[row])
        self.session.commit()
        return [str(image.id) for image in images]

    def found(self, label="scratch", **query):
        path = f"/api/v1/projects/{self.project.slug}/models/{self.version.id}/mistakes"
        answer = self.client.get(path, params={"label": label, **query})
        assert answer.status_code == 200, answer.text
        return [(one["image_id"], one["value"]) for one in answer.json()["items"]]


@pytest.fixture
def exam(session, client):
    return Exam(session, client)


def test_the_surest_come_first_alarms_before_misses(exam):
    answers = [(ABSENT, 0.6), (PRESENT, 0.3), (ABSENT, 0.9), (PRESENT, 0.9), (PRESENT, 0.1)]
    ids = exam.ask(*answers, (ABSENT, 0.2))
    expected = [(ids[2], "absent"), (ids[0], "absent"), (ids[4], "present"), (ids[1], "present")]
    assert exam.found() == expected
    assert exam.found(limit=1) == [expected[0], expected[2]]
    assert exam.found("dent") == []


def test_the_newest_photos_are_looked_at(exam, monkeypatch):
    monkeypatch.setattr(mistakes, "MOST_PHOTOS", 2)
    _, *newest = exam.ask((ABSENT, 0.9), (ABSENT, 0.8), (ABSENT, 0.7))
    make_images(exam.session, exam.project, 3, split=Split.EVALUATION)  # nobody answered them
    exam.session.commit()
    assert exam.found() == [(one, "absent") for one in newest]


@pytest.mark.parametrize("split", [Split.TRAIN, Split.TEST])
def test_only_photos_to_measure_with_count(exam, split):
    exam.ask((ABSENT, 0.9), split=split)
    assert exam.found() == []


def test_the_page_fetches_them_when_it_is_scrolled_to_them(exam):
    exam.client.cookies.set("kizu_language", "en")
    address = f"/projects/{exam.project.slug}/models/1"
    exam.ask((ABSENT, 0.2))
    assert f'hx-get="{address}/mistakes"' in exam.client.get(address).text
    assert "None on the photos" in exam.client.get(f"{address}/mistakes").text
    (image_id,) = exam.ask((ABSENT, 0.93))
    section = exam.client.get(f"{address}/mistakes").text
    assert "None on the photos" not in section
    assert f"/images/{image_id}/thumbnail" in section
    assert "93%" in section

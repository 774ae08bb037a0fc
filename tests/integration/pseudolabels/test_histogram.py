"""Open pseudo-labels counted by confidence, and many decisions taken back, over HTTP."""

import pytest

from app.annotations.models import LabelValue
from app.projects import service as projects
from app.pseudolabels import service
from app.pseudolabels.rows import Proposal
from tests.factories import make_images, make_project, make_user, make_version


class Wall:
    """A project whose live model suggests `scratch` with these confidences."""

    def __init__(self, session, client, confidences):
        self.client = client
        self.project = make_project(session, control_rate=0.2)
        labels = projects.list_labels(session, self.project.id)
        self.images = make_images(session, self.project, len(confidences), arm_draw=0.5)
        version = make_version(session, self.project, [label.id for label in labels])
        rows = [
            Proposal(image.id, labels[0].id, LabelValue.PRESENT, confidence, 0.5)
            for image, confidence in zip(self.images, confidences, strict=True)
        ]
        service.propose(session, version=version, rows=rows)
        session.commit()

    @property
    def path(self) -> str:
        return f"/api/v1/projects/{self.project.slug}/pseudo-labels"

    def bins(self, **query):
        answer = self.client.get(f"{self.path}/histogram", params={"label": "scratch", **query})
        assert answer.status_code == 200, answer.text
        return answer.json()["bins"]

    def ids(self):
        return [row["id"] for row in self.client.get(self.path).json()["items"]]

    def decide(self, ids, verdict="accept"):
        items = [{"pseudo_label_id": one, "verdict": verdict} for one in ids]
        return self.client.post(f"{self.path}/decisions", json={"items": items}).json()


@pytest.fixture
def wall(session, client):
    return Wall(session, client, [0.5, 0.905, 0.908, 1.0])


def test_bins_count_and_say_how_many_are_wrong(wall):
    found = [(one["low"], one["high"], one["count"], one["expected_wrong"]) for one in wall.bins()]
    assert found == [
        pytest.approx((0.5, 0.51, 1, 0.5)),
        pytest.approx((0.9, 0.91, 2, 0.187)),
        pytest.approx((0.99, 1.0, 1, 0.0)),
    ]


def test_decided_ones_and_those_of_the_control_arm_are_not_counted(wall, session):
    wall.decide(wall.ids()[:1])
    wall.images[0].arm_draw = 0.1
    session.commit()
    assert sum(one["count"] for one in wall.bins()) == 2
    assert wall.bins(value="absent") == []


def test_unknown_labels_are_named(wall):
    answer = wall.client.get(f"{wall.path}/histogram", params={"label": "scrath"})
    assert answer.status_code == 422
    assert "scrath" in answer.json()["detail"]


def test_many_decisions_are_taken_back_together(wall):
    before = wall.ids()
    made = [item["annotation_id"] for item in wall.decide(before)["items"]]
    assert wall.ids() == []
    answer = wall.client.post(f"{wall.path}/decisions/undo", json={"annotation_ids": made})
    assert answer.status_code == 201
    assert [item["undone_id"] for item in answer.json()["items"]] == made
    assert wall.ids() == before


def test_all_are_taken_back_or_none(wall, session):
    made = [item["annotation_id"] for item in wall.decide(wall.ids())["items"]]
    body = {"annotation_ids": [*made, str(wall.project.id)]}
    assert wall.client.post(f"{wall.path}/decisions/undo", json=body).status_code == 404
    assert wall.ids() == []
    make_user(session)

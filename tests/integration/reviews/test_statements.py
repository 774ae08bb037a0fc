"""What people state without a lease, over HTTP: suggestions about the same labels end with it."""

import pytest

from app.identity.models import Role
from app.pseudolabels.models import PseudoLabel, PseudoLabelState
from tests.factories import make_images, make_token


class Bench:
    """A photo with two suggestions, and how people state things about it over the API."""

    def __init__(self, desk, client) -> None:
        self.desk, self.client, self.session = desk, client, desk.session
        (self.image,) = make_images(self.session, desk.project, 1)
        desk.suggest(self.image, scratch=0.95, dent=0.85)
        self.session.commit()
        self.path = f"/api/v1/projects/{desk.project.slug}"

    def post(self, path, headers=None, **body):
        return self.client.post(f"{self.path}/{path}", json=body, headers=headers)

    def state(self, headers=None, **values):
        answer = self.post(f"images/{self.image.id}/annotations", headers, values=values)
        assert answer.status_code == 201, answer.text
        return answer.json()

    @property
    def suggestions(self) -> dict[str, PseudoLabel]:
        keys = {label.id: label.key for label in self.desk.labels.values()}
        self.session.rollback()
        return {keys[row.label_id]: row for row in self.session.query(PseudoLabel)}

    @property
    def states(self):
        return {key: row.state for key, row in self.suggestions.items()}

    @property
    def waiting(self):
        return self.client.get(self.path).json()["counters"]["pending_pseudo_labels"]

    @property
    def known(self):
        items = self.client.get(f"{self.path}/images/{self.image.id}/labels").json()["items"]
        return {item["label"]: item["value"] for item in items}


@pytest.fixture
def bench(desk, client):
    return Bench(desk, client)


SUPERSEDED, PENDING = PseudoLabelState.SUPERSEDED, PseudoLabelState.PENDING


def test_a_statement_ends_what_was_suggested_about_its_labels(bench):
    bench.state(scratch="absent")
    assert bench.states == {"scratch": SUPERSEDED, "dent": PENDING}
    assert bench.waiting == 1
    late = bench.post(f"pseudo-labels/{bench.suggestions['scratch'].id}/accept")
    assert late.status_code == 409
    assert bench.known == {"scratch": "absent"}


def test_so_do_many_statements_at_once(bench):
    item = {"image_id": str(bench.image.id), "is_complete": True}
    assert bench.post("annotations/bulk", items=[item]).status_code == 200
    assert bench.states == {"scratch": SUPERSEDED, "dent": SUPERSEDED}
    assert bench.waiting == 0


@pytest.mark.parametrize("stated", [{}, {"scratch": "absent"}])
def test_nothing_waits_about_a_photo_that_was_deleted(bench, stated):
    if stated:
        bench.state(**stated)
    image = f"{bench.path}/images/{bench.image.id}"
    assert bench.client.delete(image, headers={"if-match": "*"}).status_code == 204
    assert bench.states == {"scratch": SUPERSEDED, "dent": SUPERSEDED}
    assert bench.waiting == 0


def test_its_author_may_take_a_statement_back_and_who_manages(bench, session):
    roles = (Role.REVIEWER, Role.REVIEWER, Role.ENGINEER)
    hana, ken, engineer = (make_token(session, role) for role in roles)
    session.commit()
    said = bench.state(hana, scratch="absent")
    for headers, status in ((ken, 403), (hana, 201), (hana, 409)):
        answer = bench.post(f"annotations/{said['id']}/undo", headers)
        assert answer.status_code == status, answer.text
    said = bench.state(hana, dent="present")
    undone = bench.post(f"annotations/{said['id']}/undo", engineer)
    assert (undone.status_code, undone.json()["undoes_id"]) == (201, said["id"])
    assert bench.states == {"scratch": PENDING, "dent": PENDING}
    assert bench.waiting == 2
    # Others' work stays out of reach at the desk, also for who manages.
    said = bench.state(hana, dent="present")
    assert bench.post("reviews/undo", engineer, annotation_id=said["id"]).status_code == 403

"""Every decision can be read: who, when, how sure the model was, and which model."""

import csv
from datetime import timedelta
from itertools import chain

import pytest

from app.core.clock import now
from app.images.models import Image
from app.reviews import service
from app.reviews.models import Verdict
from tests.factories import make_images, make_user


class Archive:
    """Three reviewed photos: what was accepted, rejected and added, and how it is listed."""

    def __init__(self, desk, client) -> None:
        self.desk, self.client = desk, client
        self.path = f"/api/v1/projects/{desk.project.slug}/pseudo-labels/decisions"
        self.suggestions = []
        for image in make_images(desk.session, desk.project, 3):
            desk.suggest(image, scratch=0.95, dent=0.85)
            (held,) = desk.lease()
            scratch, dent = held.suggestions
            self.suggestions.append(scratch)
            desk.submit(
                held,
                verdicts={scratch.id: Verdict.ACCEPT, dent.id: Verdict.REJECT},
                additions=held.known | {desk.labels["rust"].id: "present"},
                active_ms=0,
            )
        desk.session.commit()

    def get(self, **query):
        return self.client.get(self.path, params=query)

    def items(self, **query):
        answer = self.get(**query)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]


@pytest.fixture
def archive(desk, client):
    return Archive(desk, client)


def test_a_decision_says_all_that_was_kept(archive):
    desk, suggestion = archive.desk, archive.suggestions[0]
    (item,) = archive.items(pseudo_label_id=suggestion.id)
    assert {name: item[name] for name in item if name not in {"id", "created_at"}} == {
        "image_id": str(suggestion.image_id),
        "label": "scratch",
        "reviewer_id": str(desk.reviewer.id),
        "verdict": "accept",
        "value": "present",
        "pseudo_label_id": str(suggestion.id),
        "suggested_value": "present",
        "was_shown": True,
        "confidence": 0.95,
        "threshold": 0.8,
        "model_version_id": str(desk.version.id),
        "arm": "assisted",
        "active_seconds": 0.0,
        "annotation_id": item["annotation_id"],
        "is_undone": False,
    }


def test_filters_and_pages(archive):
    every = [item["id"] for item in archive.items()]
    assert len(every) == 9
    pages, cursor = [], {}
    while True:
        page = archive.get(limit=4, **cursor).json()
        pages.append([item["id"] for item in page["items"]])
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [len(page) for page in pages] == [4, 4, 1]
    assert list(chain(*pages)) == every
    added = archive.items(label="rust")
    assert {item["verdict"] for item in added} == {"add"}
    assert len(added) == 3
    assert len(archive.items(reviewer_id=archive.desk.reviewer.id)) == 9
    assert archive.items(reviewer_id=make_user(archive.desk.session).id) == []
    middle = archive.items()[4]["created_at"]
    before, after = archive.items(to=middle), archive.items(**{"from": middle})
    assert len(before) + len(after) == 9
    assert middle in {item["created_at"] for item in after}
    tomorrow = (now() + timedelta(days=1)).isoformat()
    assert archive.items(**{"from": tomorrow}) == []


@pytest.mark.parametrize(
    ("query", "status"),
    [({"label": "crack"}, 422), ({"from": "2026-11-05T08:00:00"}, 422), ({"offset": 5}, 422),
     ({"cursor": "nonsense"}, 400)],
)  # fmt: skip
def test_what_does_not_exist_is_refused(archive, query, status):
    assert archive.get(**query).status_code == status


def test_the_table_leads_on_to_its_next_page(archive):
    answer = archive.client.get(archive.path, params={"limit": 5}, headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    following = archive.client.get(answer.links["next"]["url"], headers={"accept": "text/csv"})
    rows = [*csv.DictReader(answer.text.splitlines()), *csv.DictReader(following.text.splitlines())]
    items = archive.items()
    assert [row["id"] for row in rows] == [item["id"] for item in items]
    assert [row["label"] for row in rows] == [item["label"] for item in items]
    assert "link" not in following.headers


def test_what_was_taken_back_is_marked_but_tells_nothing_about_control_photos(archive):
    desk, session = archive.desk, archive.desk.session
    service.undo(session, project=desk.project, actor_id=desk.reviewer.id)
    session.commit()
    assert [item["is_undone"] for item in archive.items()] == [True] * 3 + [False] * 6
    desk.project.control_rate = 1.0
    (image,) = make_images(session, desk.project, 1)
    desk.suggest(image, scratch=0.9)
    (held,) = desk.lease(image_ids=(image.id,))
    desk.submit(held)
    session.commit()
    assert len(archive.items()) == 10
    service.undo(session, project=desk.project, actor_id=desk.reviewer.id)
    session.commit()
    assert len(archive.items()) == 9


def test_decisions_about_deleted_photos_are_gone(archive):
    image = archive.desk.session.get_one(Image, archive.suggestions[0].image_id)
    image.deleted_at = now()
    archive.desk.session.commit()
    assert len(archive.items()) == 6


def test_a_page_takes_the_same_queries_however_many_rows(archive, count_queries):
    archive.get()  # the first request also notes that its token was used
    counts = []
    of_reviewer = {"reviewer_id": archive.desk.reviewer.id}
    for query in ({"limit": 1}, {"limit": 9}, {"limit": 9, **of_reviewer}):
        with count_queries() as statements:
            assert len(archive.items(**query)) == query["limit"]
        counts.append(len(statements))
    # Who asks, which project, which labels, the rows, and which of them were taken back.
    assert len(set(counts)) == 1
    assert counts[0] <= 6

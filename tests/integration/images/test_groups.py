"""The evaluation set is drawn on arrival: a lot as a whole, in groups that stay small."""

import json
from collections import defaultdict

from sqlalchemy import update

from app.images.models import Split
from app.projects.models import Project
from tests import photos
from tests.integration.images.conftest import Uploader


def draw_half(session, slug="boards"):
    session.execute(update(Project).where(Project.slug == slug).values(evaluation_rate=0.5))
    session.commit()


def groups_of(rows):
    groups = defaultdict(list)
    for row in rows:
        groups[row.group_key].append(row)
    return list(groups.values())


def test_a_lot_is_drawn_as_a_whole_and_continues_when_it_is_full(boards, session, rows):
    """A hundred photos without a lot come first, so that a group may hold five or six."""
    draw_half(session)
    boards.send(*(photos.photo(n, "BMP") for n in range(100)))
    boards.send(*(photos.photo(200 + n, "BMP") for n in range(12)), metadata='{"lot": "A"}')
    boards.send(photos.photo(300), metadata='{"lot": "B"}')
    alone = [row for row in rows() if row.lot is None]
    assert len({row.group_key for row in alone}) == 100
    assert 25 < sum(row.split == Split.EVALUATION for row in alone) < 75
    of_lot = groups_of(row for row in rows() if row.lot == "A")
    assert [len(group) for group in of_lot] == [5, 5, 2]
    for group in of_lot:
        assert len({row.split for row in group}) == 1
        assert group[0].group_key == f"A/{group[0].id}"
    (last,) = (row for row in rows() if row.lot == "B")
    assert last.group_key == f"B/{last.id}"


def test_what_the_sender_set_apart_stays_apart_and_the_rest_is_drawn(client, rows):
    boards = Uploader(client)
    boards.create_project(evaluation_rate=1.0)
    splits = [{"split": "test"}, {"split": "evaluation"}, {"split": "train"}, {}]
    boards.send(*(photos.photo(n) for n in range(4)), metadata=json.dumps(splits))
    assert [row.split for row in rows()] == ["test", "evaluation", "evaluation", "evaluation"]


def test_a_project_that_examines_nothing_of_its_own(boards, rows):
    splits = [{"split": "test"}, {"split": "evaluation"}, {"split": "train"}, {}]
    boards.send(*(photos.photo(n) for n in range(4)), metadata=json.dumps(splits))
    assert [row.split for row in rows()] == ["test", "evaluation", "train", "train"]


def test_a_split_does_not_change_with_a_correction_of_the_lot(boards, session):
    image = boards.send_one(photos.photo(), metadata='{"split": "evaluation"}')
    path = f"{boards.path}/{image['id']}"
    answer = boards.client.patch(path, json={"lot": "Z"}, headers={"if-match": '"1"'})
    assert (answer.json()["lot"], answer.json()["split"]) == ("Z", "evaluation")

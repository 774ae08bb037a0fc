"""The evaluation set is drawn on arrival: a lot as a whole, in groups that stay small."""

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError

from app.core.db import make_sessions
from app.core.multipart import ReceivedFile
from app.core.storage import make_store, sha256_of
from app.images import repository, service
from app.images.models import Split
from app.images.service import Capture
from app.projects import service as projects
from app.projects.models import Counter, Project
from tests import photos
from tests.factories import make_project
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


@pytest.fixture
def receive(settings, tmp_path):
    """A function that receives one photo of lot A in a given transaction."""

    def one(session, project, number):
        path = tmp_path / f"{number}.bmp"
        path.write_bytes(photos.photo(number, "BMP"))
        content = path.read_bytes()
        file = ReceivedFile(path, path.name, sha256_of(content), len(content))
        return service.receive_upload(
            session,
            make_store(settings),
            project=project,
            file=file,
            capture=Capture(lot="A"),
            max_pixels=settings.image_max_pixels,
        )

    return one


def test_uploads_at_the_same_time_do_not_tear_a_lot(session, engine, receive):
    """The second waits for the first, whose group it would not see."""
    project = make_project(session)
    projects.adjust_counter(session, project.id, Counter.IMAGES, 100)
    session.commit()
    with make_sessions(engine)() as early, make_sessions(engine)() as late:
        first = receive(early, project, 1).image
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(receive, late, project, 2)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            early.commit()
            second = waiting.result(timeout=20).image
        late.commit()
    assert second.group_key == first.group_key
    assert second.split == first.split


def test_uploads_of_two_lots_do_not_wait_for_each_other(session, engine, receive):
    project = make_project(session)
    session.commit()
    with make_sessions(engine)() as early, make_sessions(engine)() as late:
        receive(early, project, 1)
        repository.lock_lot(late, project.id, "B")
        late.execute(text("SET lock_timeout = '100ms'"))
        with pytest.raises(OperationalError):
            repository.lock_lot(late, project.id, "A")


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

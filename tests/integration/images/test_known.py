"""Which photos are there already: asked before an upload, so that nothing is sent twice."""

import hashlib

import pytest
from sqlalchemy import event

from app.core.clock import now
from app.core.db import transaction
from app.images.models import Image
from tests import photos
from tests.integration.images.conftest import Uploader


def digest(content):
    return hashlib.sha256(content).hexdigest()


def ask(uploader, *digests):
    answer = uploader.client.post(f"{uploader.path}/known", json={"sha256": list(digests)})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_those_that_are_there_are_named_and_nothing_else(boards, client):
    image = boards.send_one(photos.photo(1))
    other = Uploader(client, "covers")
    other.create_project()
    other.send_one(photos.photo(2))
    asked = [digest(photos.photo(n)) for n in (3, 1, 2)]
    expected = {"sha256": asked[1], "image_id": image["id"], "file_name": "0.png"}
    assert ask(boards, *asked) == [expected]
    assert ask(boards, asked[1], asked[1]) == [expected]
    assert ask(boards) == []
    assert boards.count() == 1


def test_a_deleted_photo_is_not_there(boards, engine, client):
    boards.send_one(photos.photo(1))
    with transaction(client.app.state.sessions) as session:
        session.query(Image).one().deleted_at = now()
    assert ask(boards, digest(photos.photo(1))) == []


@pytest.mark.parametrize("asked", [["A" * 64], ["0" * 63], [1], "0" * 64, ["0" * 64] * 1001])
def test_what_is_no_digest_is_refused(boards, asked):
    answer = boards.client.post(f"{boards.path}/known", json={"sha256": asked})
    assert answer.status_code == 422


def test_strangers_may_not_ask(boards):
    boards.client.headers["Authorization"] = "Bearer of no token"
    answer = boards.client.post(f"{boards.path}/known", json={"sha256": []})
    assert answer.status_code == 401


def test_a_thousand_are_one_query_as_one_is(boards):
    boards.send(*(photos.photo(n) for n in range(5)))
    statements: list[str] = []
    bind = boards.client.app.state.sessions.kw["bind"]

    def remember(_connection, _cursor, statement, *_rest) -> None:
        statements.append(statement)

    def count(*digests: str) -> int:
        statements.clear()
        ask(boards, *digests)
        return len(statements)

    ask(boards)
    event.listen(bind, "before_cursor_execute", remember)
    one, few, many = (
        count(digest(photos.photo(0))),
        count(*(digest(photos.photo(n)) for n in range(5))),
        count(*(digest(b"%d" % n) for n in range(1000))),
    )
    event.remove(bind, "before_cursor_execute", remember)
    assert one == few == many

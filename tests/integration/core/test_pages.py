"""Listings are paged by the last row seen: complete, without repeats, and cheap to the end."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from app.core.clock import now
from app.core.db import make_sessions, transaction
from app.core.pagination import encode_cursor
from app.identity import service
from app.identity.models import Role, User


@pytest.fixture
def crowd(engine: Engine, admin_token: str) -> list[str]:
    """Nine people who arrived in threes, at the same instants."""
    emails = [f"user{number}@example.com" for number in range(9)]
    begin = now() + timedelta(hours=1)
    with transaction(make_sessions(engine)) as session:
        for number, email in enumerate(emails):
            user = service.create_user(session, email=email, role=Role.VIEWER)
            user.created_at = begin + timedelta(hours=number // 3)
    return emails


def pages(client, path: str, limit: int) -> list[list[dict]]:
    found, cursor = [], ""
    while True:
        page = client.get(f"{path}?limit={limit}{cursor}").json()
        found.append(page["items"])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 500])
def test_every_row_is_served_once_and_in_order(client, crowd, limit):
    found = pages(client, "/api/v1/users", limit)
    emails = [user["email"] for page in found for user in page]
    assert emails == ["admin@example.com", *crowd]
    assert len(found) == -(-10 // limit)


def test_a_last_full_page_promises_no_further_one(client, crowd):
    assert [len(page) for page in pages(client, "/api/v1/users", 5)] == [5, 5]


def test_rows_that_come_and_go_disturb_nobody(client, crowd, engine):
    first = client.get("/api/v1/users?limit=4").json()
    with transaction(make_sessions(engine)) as session:
        early = service.create_user(session, email="early@example.com", role=Role.VIEWER)
        early.created_at = now() - timedelta(days=1)
        session.delete(session.get(User, first["items"][3]["id"]))
    rest = client.get(f"/api/v1/users?limit=50&cursor={first['next_cursor']}").json()
    assert [user["email"] for user in rest["items"]] == crowd[3:]


def test_newest_first_works_as_well(client, engine):
    with transaction(make_sessions(engine)) as session:
        for number in range(5):
            service.create_token(session, email="admin@example.com", name=f"token {number}")
    names = [t["name"] for page in pages(client, "/api/v1/tokens", 2) for t in page]
    assert names == [*(f"token {n}" for n in reversed(range(5))), "tests"]


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "%%%",
        "é",
        encode_cursor(["2026-01-01T00:00:00+00:00"]),
        encode_cursor(["yesterday", "01890000-0000-7000-8000-000000000000"]),
        encode_cursor(["2026-01-01T00:00:00+00:00", "no id"]),
        encode_cursor([1, 2]),
        encode_cursor(["2026-01-01T00:00:00+00:00", 5]),
        encode_cursor(["2026-01-01T00:00:00+00:00", None]),
        encode_cursor([None, None]),
        "bnVsbA",
        "e30",
    ],
)
def test_a_cursor_of_elsewhere_is_a_bad_request(client, cursor):
    answer = client.get("/api/v1/users", params={"cursor": cursor})
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/bad-request"


@pytest.mark.parametrize("limit", ["0", "-1", "501", "many"])
def test_a_page_has_between_1_and_500_rows(client, limit):
    assert client.get(f"/api/v1/users?limit={limit}").status_code == 422


def test_a_page_takes_the_same_few_queries_however_long(client, crowd):
    statements: list[str] = []
    bind = client.app.state.sessions.kw["bind"]
    client.get("/api/v1/users")

    def count(limit: int) -> int:
        statements.clear()
        client.get(f"/api/v1/users?limit={limit}")
        return len(statements)

    def remember(_connection, _cursor, statement, *_rest) -> None:
        statements.append(statement)

    event.listen(bind, "before_cursor_execute", remember)
    assert count(1) == count(10) == 2

"""A trail with something in it, and ways to read it and to break it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from app.core import audit
from app.core.db import make_sessions, transaction

URL = "/api/v1/audit-events"


@pytest.fixture
def sessions(engine: Engine, admin_token: str) -> sessionmaker[Session]:
    """After the administrator, whose account is the trail's beginning."""
    return make_sessions(engine)


@pytest.fixture
def record(sessions: sessionmaker[Session]) -> Callable[..., int]:
    """A function that records one event and returns its id."""

    def record_one(action: str = "label.edited", object_type: str = "label", **more: Any) -> int:
        with transaction(sessions) as session:
            return audit.record(session, action, object_type, more.pop("id", "x"), **more).id

    return record_one


@pytest.fixture
def read(client: TestClient) -> Callable[..., list[dict[str, Any]]]:
    """A function that reads all pages of a filter."""

    def read_all(**query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            more: dict[str, Any] = {"cursor": cursor} if cursor else {}
            answer = client.get(URL, params={"limit": 2, **query, **more})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert len(page["items"]) <= int(query.get("limit", 2))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    return read_all


@pytest.fixture
def tamper(engine: Engine) -> Callable[[str], None]:
    """A function that does to the trail what the database refuses: whoever owns it can."""

    def do(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER USER"))
            assert connection.execute(text(statement)).rowcount == 1
            connection.execute(text("ALTER TABLE audit_event ENABLE TRIGGER USER"))

    return do


@pytest.fixture
def record_at(record: Callable[..., int], engine: Engine) -> Callable[[str], int]:
    """A function that records an event of this moment in the past, chain and all."""

    def record_then(moment: str) -> int:
        number = record("label.created")
        with Session(engine) as session, session.begin():
            session.execute(text("ALTER TABLE audit_event DISABLE TRIGGER USER"))
            event = session.get_one(audit.AuditEvent, number)
            event.at = datetime.fromisoformat(moment)
            event.hash = audit.chained_hash(event)
            session.flush()
            session.execute(text("ALTER TABLE audit_event ENABLE TRIGGER USER"))
        return number

    return record_then

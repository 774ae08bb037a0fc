"""People of every role, and browsers of theirs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from app.core.config import Settings
from app.core.db import make_sessions, transaction
from app.identity import service
from app.identity.models import Role, User

PASSWORD = "correct horse battery"


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)


@pytest.fixture
def add_user(sessions: sessionmaker[Session], settings: Settings) -> Callable[..., User]:
    """A function that adds somebody who can sign in with `PASSWORD`."""

    def add(name: str = "hana", role: Role = Role.REVIEWER, **columns: Any) -> User:
        with transaction(sessions) as session:
            return service.create_user(
                session,
                email=f"{name}@example.com",
                role=role,
                **{"password": PASSWORD, **columns},
            )

    return add


@pytest.fixture
def open_browser(anonymous: TestClient) -> Iterator[Callable[[], TestClient]]:
    """A function that opens another browser, with cookies of its own, on the same API."""
    with ExitStack() as stack:

        def browser() -> TestClient:
            return stack.enter_context(
                TestClient(
                    anonymous.app, base_url="http://testserver", raise_server_exceptions=False
                )
            )

        yield browser


@pytest.fixture
def sign_in(open_browser: Callable[[], TestClient]) -> Callable[[str], TestClient]:
    """A function that opens a browser in which this person is signed in."""

    def browser_of(name: str) -> TestClient:
        browser = open_browser()
        body = {"email": f"{name}@example.com", "password": PASSWORD}
        answer = browser.post("/api/v1/sessions", json=body)
        assert answer.status_code == 201, answer.text
        return browser

    return browser_of

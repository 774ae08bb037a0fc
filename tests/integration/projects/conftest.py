"""Projects as people make them over the API, and people of every role."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from app.core.db import make_sessions, transaction
from app.identity.models import Role
from tests.factories import make_token


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)


@pytest.fixture
def add_project(client: TestClient) -> Callable[..., dict[str, Any]]:
    """A function that creates a project and its labels; returns the project as answered."""

    def add(slug: str = "boards", *, labels: tuple[str, ...] = (), **settings: Any):
        body = {"slug": slug, "name": slug.title(), **settings}
        answer = client.post("/api/v1/projects", json=body)
        assert answer.status_code == 201, answer.text
        for key in labels:
            label = {"key": key, "names": {"en": key}}
            made = client.post(f"/api/v1/projects/{slug}/labels", json=label)
            assert made.status_code == 201, made.text
        return answer.json()

    return add


@pytest.fixture
def token_of(sessions: sessionmaker[Session], settings) -> Callable[[Role], dict[str, str]]:
    """A function that adds a person of this role and returns the headers they send."""

    def headers(role: Role) -> dict[str, str]:
        with transaction(sessions) as session:
            return make_token(session, role)

    return headers

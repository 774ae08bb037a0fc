"""A project over HTTP, and uploads to it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.core.config import Settings, get_settings
from app.core.db import make_sessions
from app.images.models import Image
from app.main import create_app

NAMED = tuple[str, bytes]


class Uploader:
    """Sends photos to one project of one API and reads what became of them."""

    def __init__(self, client: TestClient, slug: str = "boards") -> None:
        self.client = client
        self.path = f"/api/v1/projects/{slug}/images"
        self.slug = slug

    def create_project(self, **settings: Any) -> None:
        settings = {"evaluation_rate": 0.0, "time_zone": "Asia/Tokyo", **settings}
        body = {"slug": self.slug, "name": self.slug, **settings}
        assert self.client.post("/api/v1/projects", json=body).status_code == 201

    def send(self, *files: NAMED | bytes, metadata: str | None = None):
        """Files may be bare contents: they are then named by their place."""
        named = [f if isinstance(f, tuple) else (f"{i}.png", f) for i, f in enumerate(files)]
        data = {} if metadata is None else {"metadata": metadata}
        return self.client.post(self.path, files=[("files", f) for f in named], data=data)

    def send_one(self, content: bytes, **options: Any) -> dict[str, Any]:
        """The image that an upload of one photo makes."""
        answer = self.send(content, **options)
        assert answer.status_code == 201, answer.text
        return answer.json()["items"][0]["image"]

    def count(self) -> int:
        counters = self.client.get(f"/api/v1/projects/{self.slug}").json()["counters"]
        return counters.get("images", 0)


@pytest.fixture
def boards(client: TestClient) -> Uploader:
    """Uploads to a project whose photos all train."""
    uploader = Uploader(client)
    uploader.create_project()
    return uploader


@pytest.fixture
def with_settings(
    settings: Settings, admin_token: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Uploader]]:
    """A function that starts the API with other settings (as the environment would say)."""
    with ExitStack() as stack:

        def start(**changes: object) -> Uploader:
            for name, value in changes.items():
                monkeypatch.setenv(f"KIZU_{name.upper()}", str(value))
            get_settings.cache_clear()
            app = create_app(get_settings())
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            client.headers["Authorization"] = f"Bearer {admin_token}"
            uploader = Uploader(client)
            uploader.create_project()
            return uploader

        yield start


@pytest.fixture
def rows(engine: Engine) -> Callable[[], Sequence[Image]]:
    """A function that reads the image rows as another process would, in order of arrival."""

    def read() -> Sequence[Image]:
        with make_sessions(engine)() as session:
            return _all(session)

    return read


def _all(session: Session) -> Sequence[Image]:
    return session.scalars(select(Image).order_by(Image.id)).all()

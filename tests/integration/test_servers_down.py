"""Database or broker are out when something of Kizu starts: it says so, waits, and recovers."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from app.core.clock import now
from app.core.config import get_settings
from app.core.embedded import Services
from app.core.embedded.binaries import valkey_server
from app.core.processes import spawn, stop
from app.doctor import queues_served
from app.images.models import Image
from app.main import create_app
from app.stack import free_port
from tests import photos
from tests.databases import admit_connections
from tests.integration.images.conftest import Uploader

PHOTOS = 20


def eventually(is_so: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


class Log:
    """What a child of the test has written so far."""

    def __init__(self, folder, name: str) -> None:
        self.path = folder / f"{name}.log"

    def says(self, pattern: str) -> bool:
        return re.search(pattern, self.path.read_text()) is not None


@pytest.fixture
def start_broker(settings, monkeypatch, tmp_path) -> Iterator[Callable[[], None]]:
    """A function that starts the broker which all settings name, and which is out until then."""
    port, started = free_port(), []
    monkeypatch.setenv("KIZU_BROKER_URL", f"redis://127.0.0.1:{port}/0")
    get_settings.cache_clear()

    def start() -> None:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with (tmp_path / "valkey.log").open("wb") as log:
            started.append(spawn([str(valkey_server()), *options], cwd=tmp_path, output=log))

    yield start
    for process in started:
        stop(process)


@pytest.fixture
def boards(start_broker, admin_token) -> Iterator[Uploader]:
    """A project of an API that started without a broker."""
    with TestClient(create_app(get_settings())) as client:
        client.headers["Authorization"] = f"Bearer {admin_token}"
        uploader = Uploader(client)
        uploader.create_project()
        yield uploader


def a_minute_passes(session) -> None:
    """Photos that wait so long are rung for again."""
    session.execute(update(Image).values(created_at=now() - timedelta(minutes=2)))
    session.commit()


def test_photos_sent_without_a_broker_are_taken_at_once_and_ingested_later(
    boards, start_broker, start_worker, session
):
    begun = time.monotonic()
    answer = boards.send(*(photos.photo(n) for n in range(PHOTOS)))
    assert (answer.status_code, answer.json()["created"]) == (201, PHOTOS)
    assert time.monotonic() - begun < PHOTOS, "it waits for the broker once, not for each photo"
    a_minute_passes(session)
    start_broker()
    start_worker("cpu")
    project = f"/api/v1/projects/{boards.slug}"
    eventually(lambda: boards.client.get(project).json()["counters"].get("ready") == PHOTOS)


def test_a_worker_and_beat_wait_for_the_broker(start_broker, start_worker, monkeypatch, tmp_path):
    monkeypatch.setenv("KIZU_SWEEP_SECONDS", "1")
    children = ("cpu", "beat")
    for name in children:
        start_worker(name)
    eventually(lambda: all(Log(tmp_path, n).says("(?i)connection refused") for n in children))
    start_broker()
    eventually(lambda: Log(tmp_path, "cpu").says(r"sweep\.run\S* succeeded"))
    assert not any(Log(tmp_path, name).says("Traceback") for name in children)


@pytest.fixture
def admit(services: Services, engine: Engine) -> Callable[[bool], None]:
    """A function that closes the test's database to new connections, or opens it again."""

    def admit(wanted: bool) -> None:
        engine.dispose()
        admit_connections(services.database_url, str(engine.url.database), wanted)

    return admit


def test_a_worker_and_beat_wait_for_the_database(
    admit, settings, start_worker, monkeypatch, tmp_path
):
    monkeypatch.setenv("KIZU_SWEEP_SECONDS", "1")
    admit(False)
    children = ("cpu", "beat")
    for name in children:
        start_worker(name)
    eventually(lambda: Log(tmp_path, "cpu").says("no heartbeat"))
    eventually(lambda: Log(tmp_path, "cpu").says("the next sweep tries again"))
    assert not any(Log(tmp_path, name).says("Traceback") for name in children)
    admit(True)
    eventually(lambda: "cpu" in queues_served(settings))

"""Fixtures of the whole suite: real PostgreSQL and Valkey, a clean database for every test.

The servers are embedded ones, started once per test process, unless KIZU_DATABASE_URL and
KIZU_BROKER_URL name others. Nothing here stands in for code of ours.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import redis
import uvicorn
from fastapi.testclient import TestClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.core import migrate
from app.core.config import Settings, get_settings
from app.core.db import make_engine, make_sessions, transaction
from app.core.embedded import Services, embedded_services, redis_url
from app.core.processes import spawn, stop
from scripts.test_tools import find_browser
from tests.databases import create_database, drop_database, empty_broker

REPOSITORY = Path(__file__).resolve().parents[1]
_numbers = itertools.count(1)

# A busy machine is slow at times, and a red build must be red again on the next run.
hypothesis_settings.register_profile(
    "kizu", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("kizu")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """PostgreSQL and Valkey: those the environment names, else this process's own."""
    database_url, broker_url = os.getenv("KIZU_DATABASE_URL"), os.getenv("KIZU_BROKER_URL")
    if database_url and broker_url:
        with empty_broker(broker_url, os.getenv("PYTEST_XDIST_WORKER")) as broker_url:
            yield Services(database_url=database_url, broker_url=broker_url)
        return
    with embedded_services(tmp_path_factory.mktemp("services"), durable=False) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def template_database(services: Services) -> Iterator[str]:
    """The name of a migrated, empty database that tests copy."""
    name = f"kizu_template_{os.getpid()}"
    migrate.upgrade(create_database(services.database_url, name))
    yield name
    drop_database(services.database_url, name)


@pytest.fixture
def empty_database_url(services: Services) -> Iterator[str]:
    """A database without any table."""
    yield from _temporary_database(services, template="template1")


@pytest.fixture
def database_url(services: Services, template_database: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    yield from _temporary_database(services, template=template_database)


def _temporary_database(services: Services, *, template: str) -> Iterator[str]:
    name = f"kizu_test_{os.getpid()}_{next(_numbers)}"
    yield create_database(services.database_url, name, template=template)
    drop_database(services.database_url, name)


@pytest.fixture
def broker_url(services: Services) -> str:
    """The broker, emptied."""
    with redis.Redis.from_url(redis_url(services.broker_url)) as client:
        client.flushdb()
    return services.broker_url


@pytest.fixture
def settings(
    database_url: str, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of a whole Kizu on the test's own database, also seen by children we start."""
    monkeypatch.setenv("KIZU_DATABASE_URL", database_url)
    monkeypatch.setenv("KIZU_BROKER_URL", broker_url)
    monkeypatch.setenv("KIZU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KIZU_MIN_FREE_BYTES", "0")
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine, settings: Settings) -> Iterator[Session]:
    """A session whose work is rolled back unless the test commits it."""
    with make_sessions(engine)() as session:
        yield session


@pytest.fixture
def admin_token(engine: Engine, settings: Settings) -> str:
    """An API token of an administrator, with every scope."""
    from app.identity import service
    from app.identity.models import Role
    from app.identity.permissions import Permission

    with transaction(make_sessions(engine)) as session:
        user = service.create_user(
            session, email="admin@example.com", role=Role.ADMIN, password="correct horse battery"
        )
        _, token = service.create_token(
            session, user_id=user.id, name="tests", scopes=list(Permission)
        )
    return str(token)


@pytest.fixture
def anonymous(settings: Settings) -> Iterator[TestClient]:
    """The API in this process, not signed in."""
    from app.main import create_app

    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(anonymous: TestClient, admin_token: str) -> TestClient:
    """The API in this process, signed in as an administrator."""
    anonymous.headers["Authorization"] = f"Bearer {admin_token}"
    return anonymous


@pytest.fixture
def live_url(settings: Settings) -> Iterator[str]:
    """The API on a real port of this machine, for browsers and streams."""
    from app.main import create_app

    config = uvicorn.Config(create_app(settings), port=0, log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium. Where none can be had, page tests are skipped; under CI they fail."""
    path = find_browser()
    if path is None:
        go_without_browser("no browser starts: set KIZU_CHROMIUM, or install Chromium")
    with sync_playwright() as playwright:
        try:
            # Chromium's own sandbox does not work as root, and the pages are ours.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except PlaywrightError as error:
            go_without_browser(f"{path} does not start: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


def go_without_browser(reason: str) -> NoReturn:
    if os.getenv("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def page(browser: Browser, live_url: str) -> Iterator[Page]:
    """A fresh browser window on the live API; relative addresses lead there."""
    with browser.new_context(base_url=live_url) as context:
        yield context.new_page()


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """A function that starts a real worker for a queue (`cpu`, `infer`, `train`, or `beat`).

    It returns the worker's process id at once; messages wait in the broker until it is ready.
    """
    from app.commands import beat_command, worker_command

    started = []

    def start(queue: str) -> int:
        command = beat_command(settings) if queue == "beat" else worker_command(queue)
        with (tmp_path / f"{queue}.log").open("ab") as log:
            started.append(spawn(command, cwd=REPOSITORY, output=log))
        return started[-1].pid

    yield start
    for process in started:
        stop(process)

"""A whole Kizu on this machine: services, schema, API, workers and beat as children of ours.

`kizu up` and `kizu demo` are this context manager plus a wait or a script.
"""

import contextlib
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.commands import WorkerQueue, api_command, beat_command, worker_command
from app.core import migrate
from app.core.config import Settings, get_settings
from app.core.embedded import embedded_services, running_services
from app.core.errors import Unavailable
from app.core.processes import Supervised, Supervisor, processes_of_group

API_START_TIMEOUT_S = 60.0
API_START_ATTEMPTS = 2
HEALTH_PATH = "/health"
LOG_KEEP_BYTES = 10 * 2**20
FIRST_DRAWN_PORT, FIRST_EPHEMERAL_PORT = 20_000, 32_768


@dataclass(frozen=True)
class Stack:
    """A running Kizu: its effective settings, where it is reached, and its processes."""

    settings: Settings
    url: str
    supervisor: Supervisor

    def pids(self) -> dict[str, list[int]]:
        """Process ids by child (`api`, `cpu`, `infer`, `train`, `beat`), pool children included."""
        return {
            child.name: processes_of_group(child.process.pid)
            for child in self.supervisor.children
            if child.process is not None
        }


@contextmanager
def connected(settings: Settings) -> Iterator[Settings]:
    """Settings whose database and broker answer: those set, else running ones, else our own.

    Inside the block the whole process, and children it starts, see these settings.
    """
    if settings.database_url and settings.broker_url:
        with _in_environment(settings) as effective:
            yield effective
        return
    running = running_services(settings.data_dir)
    if running is not None:
        urls = {"database_url": running.database_url, "broker_url": running.broker_url}
        with _in_environment(settings.model_copy(update=urls)) as effective:
            yield effective
        return
    with _own_services(settings) as effective:
        yield effective


@contextmanager
def _own_services(settings: Settings) -> Iterator[Settings]:
    with embedded_services(settings.data_dir) as services:
        urls = {
            "database_url": settings.database_url or services.database_url,
            "broker_url": settings.broker_url or services.broker_url,
        }
        with _in_environment(settings.model_copy(update=urls)) as effective:
            yield effective


@contextmanager
def running_stack(
    settings: Settings, *, on_crash: Callable[[Supervised, int], None]
) -> Iterator[Stack]:
    """Run everything for as long as the block lasts; a child that crashes is started again."""
    ensure_port_is_free(settings.host, settings.port)
    if settings.database_url and settings.broker_url:
        services = _in_environment(settings)
    else:
        services = _own_services(settings)
    with services as effective:
        assert effective.database_url is not None
        migrate.upgrade(effective.database_url)
        supervisor = Supervisor(children_of(effective), on_crash=on_crash)
        with _supervised(supervisor):
            await_api(effective, supervisor)
            yield Stack(effective, local_url(effective), supervisor)


def children_of(settings: Settings) -> list[Supervised]:
    """The API, a worker for each queue, and beat, each with a log of its own."""
    logs = settings.data_dir / "logs"
    commands = {
        "api": api_command(settings),
        **{
            queue.value: worker_command(queue, log_level=settings.log_level)
            for queue in WorkerQueue
        },
        "beat": beat_command(settings),
    }
    for name in commands:
        _keep_one_old_log(logs / f"{name}.log")
    return [Supervised(name, command, logs / f"{name}.log") for name, command in commands.items()]


@contextmanager
def _supervised(supervisor: Supervisor) -> Iterator[None]:
    stop_event = threading.Event()
    watch = threading.Thread(target=supervisor.run, args=(stop_event,), name="supervisor")
    try:
        supervisor.start()
        watch.start()
        yield
    finally:
        stop_event.set()
        supervisor.stop()
        if watch.is_alive():
            watch.join()


def await_api(settings: Settings, supervisor: Supervisor) -> None:
    """Return once the API answers; raise with the end of its log when it does not."""
    api = supervisor.children[0]
    deadline = time.monotonic() + API_START_TIMEOUT_S
    while api.crashes < API_START_ATTEMPTS and time.monotonic() < deadline:
        try:
            httpx.get(f"{local_url(settings)}{HEALTH_PATH}", timeout=2).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    last_words = api.log_path.read_text(errors="replace").strip().splitlines()[-1:]
    raise Unavailable(f"The API does not start: {''.join(last_words)} (log: {api.log_path})")


def local_url(settings: Settings) -> str:
    """Where this machine reaches the API, also when it listens on every address."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    return f"http://{host}:{settings.port}"


def ensure_port_is_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unavailable(
                f"Port {port} on {host} cannot be used ({error.strerror}): stop what listens "
                "there, or choose another with --port."
            ) from error


def free_port() -> int:
    """A port of this machine that nobody uses, below those given to outgoing connections."""
    while True:
        port = FIRST_DRAWN_PORT + secrets.randbelow(FIRST_EPHEMERAL_PORT - FIRST_DRAWN_PORT)
        with contextlib.suppress(Unavailable):
            ensure_port_is_free("127.0.0.1", port)
            return port


@contextmanager
def _in_environment(settings: Settings) -> Iterator[Settings]:
    """Make `settings` those of this process and of children it starts."""
    effective = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
    before = dict(os.environ)
    os.environ.update(as_environment(effective))
    get_settings.cache_clear()
    try:
        yield effective
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


def as_environment(settings: Settings) -> Mapping[str, str]:
    chosen = {
        "KIZU_DATA_DIR": str(settings.data_dir),
        "KIZU_DATABASE_URL": settings.database_url,
        "KIZU_BROKER_URL": settings.broker_url,
        "KIZU_HOST": settings.host,
        "KIZU_PORT": str(settings.port),
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _keep_one_old_log(path: Path) -> None:
    if path.exists() and path.stat().st_size > LOG_KEEP_BYTES:
        shutil.move(path, path.with_suffix(".log.1"))

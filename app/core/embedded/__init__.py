"""PostgreSQL and Valkey as our own child processes, from binaries that come with pip.

`embedded_services` gives both under one data directory and stops them with this process.
Production uses servers of its own (`KIZU_DATABASE_URL`, `KIZU_BROKER_URL`) and never comes here.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.embedded.errors import AlreadyRunning, EmbeddedError
from app.core.embedded.postgres import PostgresServer, server_account
from app.core.embedded.valkey import ValkeyServer

__all__ = [
    "AlreadyRunning",
    "EmbeddedError",
    "Services",
    "embedded_services",
    "redis_url",
    "running_services",
]


LONGEST_TEMPORARY_PATH = 60


@dataclass(frozen=True)
class Services:
    """Where the database (SQLAlchemy URL) and the broker (Celery URL) are reached."""

    database_url: str
    broker_url: str


@contextmanager
def embedded_services(data_dir: Path, *, durable: bool = True) -> Iterator[Services]:
    """Run PostgreSQL and Valkey on `data_dir` for as long as the block lasts.

    `durable=False` trades safety at a power cut for speed, for tests. Raises `AlreadyRunning`
    when another process uses the directory. Call it from the main thread (see `spawn`).
    """
    data_dir = data_dir.absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(data_dir), _runtime_folder(data_dir) as runtime:
        postgres = PostgresServer(data_dir / "postgres", runtime=runtime, durable=durable)
        valkey = ValkeyServer(runtime, log_path=data_dir / "logs" / "valkey.log")
        with postgres.running() as database_url, valkey.running() as broker_url:
            yield Services(database_url=database_url, broker_url=broker_url)


def running_services(data_dir: Path) -> Services | None:
    """The services that another process keeps running on `data_dir`, if one does."""
    link = data_dir.absolute() / "runtime"
    if not link.is_symlink() or not _is_locked(data_dir):
        return None
    runtime = link.readlink()
    postgres = PostgresServer(data_dir / "postgres", runtime=runtime, durable=True)
    valkey = ValkeyServer(runtime, log_path=data_dir / "logs" / "valkey.log")
    return Services(database_url=postgres.url, broker_url=valkey.url)


def redis_url(broker_url: str) -> str:
    """The form of a broker URL that redis-py understands; Celery names sockets differently."""
    prefix = "redis+socket://"
    if not broker_url.startswith(prefix):
        return broker_url
    return "unix://" + broker_url.removeprefix(prefix).replace("virtual_host=", "db=")


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the directory. The kernel drops the lock with its holder, however that one ends."""
    with (data_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(data_dir, lock.read().strip()) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _short_temporary_folder() -> str:
    """The usual one, unless its own path would not leave room for a socket's."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST_TEMPORARY_PATH else "/tmp"  # noqa: S108


def _is_locked(data_dir: Path) -> bool:
    with (data_dir / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _runtime_folder(data_dir: Path) -> Iterator[Path]:
    """A short-named folder for sockets, whose path may not exceed about 100 bytes.

    Its name is unpredictable, so nobody can prepare it in the shared temporary folder; a
    link in the data directory lets the next start remove what a killed run left behind.
    """
    link = data_dir / "runtime"
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    runtime = Path(tempfile.mkdtemp(prefix="kizu-", dir=_short_temporary_folder()))
    if server_account() is not None:
        # The database's own account must pass through to its private subfolder.
        runtime.chmod(0o711)
    link.symlink_to(runtime)
    try:
        yield runtime
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
        link.unlink(missing_ok=True)

"""One process of a worker: its settings, engine and store, and whether it was told to stop.

Engines are made after the fork, one for each process. The stop flag is a byte of memory that a
worker shares with the pool processes it forks: only the parent is told to stop.
"""

import contextlib
import importlib.util
import mmap
import os
import pkgutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

import app
from app.core.config import Settings, get_settings
from app.core.db import make_engine, make_sessions, transaction
from app.core.errors import Unavailable
from app.core.storage import ObjectStore, make_store

Result = TypeVar("Result")
log = structlog.get_logger()

POOL_SIZE = 2
PATIENCE_SECONDS = 120.0
LONGEST_PAUSE_SECONDS = 5.0
OUTAGES = (OperationalError, InterfaceError)

_stop_flag = mmap.mmap(-1, 1)
_may_end = threading.Event()
_connected: dict[tuple[Any, ...], tuple[sessionmaker[Session], ObjectStore]] = {}


def ask_to_stop() -> None:
    """Tell this process, and those it forked, to leave work in good order."""
    _stop_flag[0] = 1


def is_stopping() -> bool:
    return _stop_flag[0] == 1


def end_when_work_hangs() -> None:
    """From now on this process may be ended by `leave`: it is a worker's, not a test's or ours."""
    _may_end.set()


def leave(exit_code: int) -> None:
    """End a worker's process at once, whatever its main thread is doing."""
    if _may_end.is_set():
        os._exit(exit_code)


@dataclass(frozen=True)
class Process:
    """What every task of this process uses."""

    settings: Settings
    sessions: sessionmaker[Session]
    store: ObjectStore
    owner: str


def this_process() -> Process:
    settings = get_settings()
    key = (os.getpid(), settings.database_url, settings.data_dir)
    if key not in _connected:
        disconnect()
        _connected[key] = _connect(settings)
    sessions, store = _connected[key]
    return Process(settings, sessions, store, owner=f"{socket.gethostname()}:{os.getpid()}")


def disconnect() -> None:
    """Close what this process opened, and only forget what a fork brought along."""
    for pid, *other in list(_connected):
        sessions, _ = _connected.pop((pid, *other))
        sessions.kw["bind"].dispose(close=pid == os.getpid())


def _connect(settings: Settings) -> tuple[sessionmaker[Session], ObjectStore]:
    if settings.database_url is None:
        raise Unavailable("KIZU_DATABASE_URL is not set. Run `kizu up`, which brings a database.")
    _know_all_tables()
    engine = make_engine(settings.database_url, pool_size=POOL_SIZE)
    return make_sessions(engine), make_store(settings)


def _know_all_tables() -> None:
    """Rows refer to rows of nouns that a task need not know, but the mapper must."""
    for noun in pkgutil.iter_modules(app.__path__):
        if noun.ispkg and importlib.util.find_spec(f"app.{noun.name}.models"):
            importlib.import_module(f"app.{noun.name}.models")


def persist(sessions: sessionmaker[Session], write: Callable[[Session], Result]) -> Result:
    """The result of `write` in a transaction; tried again while the database is out."""

    def attempt() -> Result:
        with transaction(sessions) as session:
            return write(session)

    return patiently(attempt)


@contextmanager
def held_transaction(
    sessions: sessionmaker[Session], hold: Callable[[Session], object]
) -> Iterator[Session]:
    """A transaction under `hold`, which is repeated before the commit to lease from there.

    Only its beginning is tried again while the database is out: the caller's work cannot be.
    """
    session = patiently(lambda: _held(sessions(), hold))
    try:
        yield session
        hold(session)
        session.commit()
    finally:
        session.close()


def _held(session: Session, hold: Callable[[Session], object]) -> Session:
    try:
        hold(session)
    except BaseException:
        with contextlib.suppress(*OUTAGES):
            session.close()
        raise
    return session


def patiently(attempt: Callable[[], Result]) -> Result:
    """The result of `attempt`, which is repeated for a while when the database is out."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.2
    while True:
        try:
            return attempt()
        except OUTAGES as error:
            if is_stopping() or time.monotonic() + pause > deadline:
                raise
            log.warning("database does not answer", error=str(error.orig), again_in=pause)
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

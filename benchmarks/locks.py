"""Locks between processes; the system lets go of one when its holder ends, however it ends."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def waiting_for(path: Path) -> Iterator[None]:
    """Hold the lock at `path`, once whoever holds it lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """The same without waiting: whether the lock is ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True

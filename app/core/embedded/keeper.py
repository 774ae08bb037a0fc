"""Keeps an embedded server running: one that dies by itself is started again.

Its data lies where it did, so the others, who try again for a while, find it where they knew it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen

import structlog

from app.core.embedded.errors import EmbeddedError

log = structlog.get_logger()

LOOK_EVERY_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
Server = Popen[bytes]


class Keeper:
    """The thread that looks after one server. `start` returns it when it is ready."""

    def __init__(self, start: Callable[[], Server], end: Callable[[Server], object]) -> None:
        self._start = start
        self._end = end
        self._guard = threading.Lock()
        self._is_over = threading.Event()
        self._has_ended = threading.Event()
        self._server = start()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the server. The thread goes last: its end would signal a server that it started."""
        self._is_over.set()
        try:
            with self._guard:
                self._end(self._server)
        finally:
            self._has_ended.set()
            self._thread.join()

    def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._is_over.wait(LOOK_EVERY_S):
            with self._guard:
                if self._is_over.is_set() or self._server.poll() is None:
                    pause = FIRST_PAUSE_S
                    continue
                restarted = self._restart()
            if not restarted:
                self._is_over.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
        self._has_ended.wait()

    def _restart(self) -> bool:
        code = self._server.returncode
        log.error("a server ended by itself; starting it again", args=self._server.args, code=code)
        try:
            self._server = self._start()
        except (EmbeddedError, OSError) as error:
            log.error("the server does not start; trying again", error=str(error))
            return False
        return True


@contextmanager
def kept(start: Callable[[], Server], end: Callable[[Server], object]) -> Iterator[None]:
    """Run a server for as long as the block lasts. Raises what the first `start` raises."""
    keeper = Keeper(start, end)
    try:
        yield
    finally:
        keeper.stop()

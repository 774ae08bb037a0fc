"""A sign of life from a thread, for the few calls that cannot give one themselves."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_SECONDS = 5.0


@contextmanager
def kept_alive(tick: Callable[[], None], *, at_most: float) -> Iterator[None]:
    """Tick while the block runs, for so many seconds: a download may take long, not for ever."""
    over = threading.Event()
    deadline = time.monotonic() + at_most

    def keep() -> None:
        while not over.wait(EVERY_SECONDS) and time.monotonic() < deadline:
            tick()

    thread = threading.Thread(target=keep, name="alive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

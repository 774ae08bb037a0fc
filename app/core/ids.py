"""Identifiers: UUIDv7, so that rows sort by creation and indexes stay dense (RFC 9562, 5.7)."""

import os
import threading
import time
from uuid import UUID

_TICKS_PER_MS = 2**12


class _Clock:
    """Time in 1/4096 ms since 1970, never the same twice in this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._last = 0

    def tick(self) -> int:
        with self._guard:
            self._last = max(time.time_ns() * _TICKS_PER_MS // 1_000_000, self._last + 1)
            return self._last


_clock = _Clock()


def new_id() -> UUID:
    """48 bits of Unix milliseconds, 12 of their fraction, 62 random bits, version and variant.

    Within a process each is greater than the one before, also when the clock stands still or is
    set back (RFC 9562, 6.2, method 3).
    """
    milliseconds, fraction = divmod(_clock.tick(), _TICKS_PER_MS)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random)

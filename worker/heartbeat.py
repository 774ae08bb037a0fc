"""A row that says a worker lives, written by a thread of its own while the work goes on.

Health checks read it: a broker cannot tell who is alive, and a worker that trains does not
answer pings.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from app.core.db import transaction
from app.core.queue import Queue
from app.jobs import service as jobs
from worker.process import this_process

log = structlog.get_logger()

BEAT_SECONDS = 10.0
# Serves no queue, but is watched like those that do.
BEAT = "beat"
_started = threading.Event()


def start(name: str, queues: Sequence[str], *, then: Callable[[], None]) -> None:
    """Beat until the process ends, and call `then` after each. A second call changes nothing."""
    if _started.is_set():
        return
    _started.set()
    arguments = (name, queues, then)
    threading.Thread(target=_keep_beating, args=arguments, name="heartbeat", daemon=True).start()


def _keep_beating(name: str, queues: Sequence[str], then: Callable[[], None]) -> None:
    while True:
        try:
            _beat(name, queues)
            then()
        # A worker that cannot reach its services is silent, but tries again.
        except Exception as error:
            log.warning("no heartbeat", error=str(error))
        time.sleep(BEAT_SECONDS)


def _beat(name: str, queues: Sequence[str]) -> None:
    with transaction(this_process().sessions) as session:
        for queue in queues:
            row = name if len(queues) == 1 else f"{name}/{queue}"
            jobs.beat(session, name=row, queue=queue, device=device_of(queue))


def device_of(queue: str) -> str:
    """Where work of this queue runs. Torch is asked only where a task has loaded it already."""
    if queue in {Queue.CPU, BEAT}:
        return "cpu"
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    is_available = getattr(cuda, "is_available", None)
    if is_available is None:
        return "not used yet"
    return "cuda" if is_available() else "cpu"

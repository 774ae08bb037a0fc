"""The command line of each Kizu process: API, workers, beat. Used by `kizu up`, Docker and tests.

The workers are named, never imported: the service does not load the ML stack.
"""

import os
import sys
from enum import StrEnum

from app.core.config import Settings

CPU_POOL_LIMIT = 4


class WorkerQueue(StrEnum):
    CPU = "cpu"
    INFER = "infer"
    TRAIN = "train"


def api_command(settings: Settings) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory"),
        *("--host", settings.host, "--port", str(settings.port)),
        *("--log-level", settings.log_level.lower(), "--no-access-log"),
        # Open event streams end with the server instead of holding it up.
        *("--timeout-graceful-shutdown", "3", "--proxy-headers"),
    ]


def worker_command(queue: str, *, log_level: str = "INFO") -> list[str]:
    """A worker of one queue. Only `cpu` forks: a forked process cannot use a GPU."""
    pool = ["--pool", "solo"]
    if queue == WorkerQueue.CPU:
        concurrency = min(os.cpu_count() or 1, CPU_POOL_LIMIT)
        pool = ["--pool", "prefork", "--concurrency", str(concurrency)]
    return [
        *(sys.executable, "-m", "celery", "-A", "worker.celery_app", "worker"),
        *("--queues", queue, "--hostname", f"{queue}-{os.getpid()}@%h", *pool),
        *("--loglevel", log_level, "--without-gossip", "--without-mingle"),
    ]


def beat_command(settings: Settings) -> list[str]:
    """The clock that rings for the sweep. Two of them do no harm."""
    schedule = settings.data_dir / "beat" / "schedule"
    schedule.parent.mkdir(parents=True, exist_ok=True)
    return [
        *(sys.executable, "-m", "celery", "-A", "worker.celery_app", "beat"),
        *("--schedule", str(schedule), "--pidfile", "", "--loglevel", settings.log_level),
    ]

"""A claim kept alive by a thread, for as long as the loop that does the work moves.

The thread has a database connection of its own. It also carries what the work tells (progress,
log lines), so that a training never waits for the database.
"""

import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from app.core.clock import now
from app.core.config import Settings
from app.core.db import transaction
from app.jobs import service as jobs
from app.jobs.service import LogLine
from worker import process

log = structlog.get_logger()

LONGEST_BEAT_SECONDS = 1.0
JOIN_SECONDS = 5.0
EXIT_HUNG = 70


class Claim(Protocol):
    """One claim of a job or chunk, as `worker.base_task` has them."""

    @property
    def job_id(self) -> UUID: ...

    def renew(self, session: Session, news: dict[str, Any]) -> bool | None:
        """Whether to cancel, or None when the lease is lost."""


class Lease:
    """Use it as a context manager around the work; the thread lives inside."""

    def __init__(self, claim: Claim, sessions: sessionmaker[Session], settings: Settings) -> None:
        self._claim = claim
        self._sessions = sessions
        self._stall_seconds = settings.job_stall_seconds
        self._lease_seconds = settings.job_lease_seconds
        self._beat_seconds = min(LONGEST_BEAT_SECONDS, settings.job_lease_seconds / 3)
        self._guard = threading.Lock()
        self._progress: dict[str, Any] = {}
        self._lines: list[LogLine] = []
        self._ticked_at = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.is_lost = False
        self.is_cancelled = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(JOIN_SECONDS)

    def tick(self) -> None:
        self._ticked_at = time.monotonic()

    def note_progress(self, progress: dict[str, Any]) -> None:
        self.tick()
        with self._guard:
            self._progress.update(progress)

    def note_line(self, level: str, message: str) -> None:
        with self._guard:
            self._lines.append(LogLine(now(), level, message))

    def deliver(self) -> None:
        """Renew, and write what was noted; what cannot be written is kept for the next time.

        Raises `jobs.LeaseLost`, and the database's errors.
        """
        with self._guard:
            progress, lines = self._progress, self._lines
            self._progress, self._lines = {}, []
        try:
            with transaction(self._sessions) as session:
                answer = self._claim.renew(session, progress)
                if answer is not None:
                    jobs.add_log(session, self._claim.job_id, lines)
        except SQLAlchemyError:
            with self._guard:
                self._progress = {**progress, **self._progress}
                self._lines = [*lines, *self._lines]
            raise
        self.is_lost = answer is None
        self.is_cancelled = bool(answer)
        if self.is_lost:
            raise jobs.LeaseLost(str(self._claim.job_id))

    def _keep(self) -> None:
        while not self._over.wait(self._beat_seconds):
            silence = time.monotonic() - self._ticked_at
            if silence <= self._stall_seconds:
                self._beat()
            elif silence > self._stall_seconds + 2 * self._lease_seconds:
                self._leave(silence)

    def _beat(self) -> None:
        try:
            self.deliver()
        except jobs.LeaseLost:
            log.warning("lease lost", job=str(self._claim.job_id))
            self._over.set()
        except SQLAlchemyError as error:
            log.warning("lease not renewed", job=str(self._claim.job_id), error=str(error))

    def _leave(self, silence: float) -> None:
        """End the process: its loop hangs, its lease is gone, and it would block the queue."""
        log.error("work hangs; the process ends", job=str(self._claim.job_id), seconds=silence)
        process.leave(EXIT_HUNG)


def lease_of(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.job_lease_seconds)

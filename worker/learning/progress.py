"""What a training tells its caller while it runs, and how the caller stops it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    PREPARE = "prepare"  # photos are decoded, or frozen features computed
    CROSS_FIT = "cross_fit"  # part models whose held-out scores measure confidence
    WARM_UP = "warm_up"  # human labels only
    PSEUDO_LABELS = "pseudo_labels"  # human labels and pseudo-labels
    EVALUATE = "evaluate"


@dataclass(frozen=True)
class Progress:
    """`fraction` runs from 0 to 1 over all stages; `metrics` holds the newest figures."""

    stage: Stage
    fraction: float
    eta_seconds: float
    metrics: dict[str, float]


class Stopped(Exception):
    """The caller asked to stop; `train` goes on from the checkpoint in the work folder."""


OnProgress = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


class Meter:
    """Counts expected seconds of work done against those planned; reports once a second."""

    def __init__(self, on_progress: OnProgress, should_stop: ShouldStop) -> None:
        self._on_progress, self._should_stop = on_progress, should_stop
        self._total, self._done, self._skipped = 1.0, 0.0, 0.0
        self._started, self._reported = time.monotonic(), -1.0
        self.stage = Stage.PREPARE
        self.metrics: dict[str, float] = {}

    def expect(self, seconds: float) -> None:
        """The whole plan, in the seconds that it is expected to take from here."""
        self._total, self._done, self._skipped = max(seconds, 1e-6), 0.0, 0.0
        self._started = time.monotonic()

    def skip(self, seconds: float) -> None:
        """Work that an earlier run has done."""
        self._done += seconds
        self._skipped += seconds

    def advance(self, seconds: float) -> None:
        self._done += seconds
        if time.monotonic() - self._reported >= 1:
            self.report()

    def enter(self, stage: Stage) -> None:
        self.stage = stage
        self.report()

    def report(self, fraction: float | None = None) -> None:
        self._reported = time.monotonic()
        share = min(self._done / self._total, 0.999) if fraction is None else fraction
        self._on_progress(Progress(self.stage, share, self._eta(share), dict(self.metrics)))

    def _eta(self, share: float) -> float:
        """Seconds left at the speed of this run; the planned ones before anything is done."""
        worked = self._done - self._skipped
        left = (1 - share) * self._total
        elapsed = time.monotonic() - self._started
        return left * (elapsed / worked if worked > 0.02 * self._total else 1.0)

    def stop_asked(self) -> bool:
        return self._should_stop()

    def tick(self) -> None:
        """Say that work goes on where no planned second has passed; raises as `check` does."""
        self.check()
        self.advance(0.0)

    def check(self) -> None:
        """Raise `Stopped` if the caller asked for it."""
        if self._should_stop():
            raise Stopped

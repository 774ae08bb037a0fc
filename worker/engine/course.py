"""The course of a training, as its job shows it: few points, however many steps."""

import math
from statistics import fmean

from app.jobs.stages import JobStage
from worker.learning.progress import Progress

POINTS = 120

Point = tuple[float, float]  # share of the training that is done, value


class Course:
    """Each measured figure over the training, the loss as a mean since the point before."""

    def __init__(self) -> None:
        self._stages: list[tuple[float, str]] = []
        self._curves: dict[str, list[Point]] = {}
        self._since: dict[str, list[float]] = {}

    def note(self, progress: Progress, stage: JobStage) -> None:
        if not self._stages or self._stages[-1][1] != stage:
            self._stages.append((round(progress.fraction, 4), stage))
        for name, value in progress.metrics.items():
            if math.isfinite(value):
                self._add(name, progress.fraction, value)

    def _add(self, name: str, at: float, value: float) -> None:
        curve, since = self._curves.setdefault(name, []), self._since.setdefault(name, [])
        since.append(value)
        if not curve or at - curve[-1][0] >= 1 / POINTS:
            curve.append((round(at, 4), round(fmean(since), 5)))
            since.clear()

    def as_json(self) -> dict[str, list[tuple[float, str]] | dict[str, list[Point]]]:
        return {"stages": self._stages, "curves": self._curves}

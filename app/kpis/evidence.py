"""What figures are computed from: all of a period, or the part of one line or of one bucket."""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np

from app.annotations.models import LabelValue
from app.images.models import Arm
from app.kpis import formulas
from app.kpis.formulas import Control, Floats, Share, SuggestionCounts, Times, TimeSaved
from app.kpis.repository import (
    ClearedImages,
    DecisionCount,
    FinishedImages,
    RestatedImage,
    SpentTime,
)
from app.kpis.schemas import Bucket
from app.reviews.models import Verdict


class Kind(StrEnum):
    """What there can be evidence of: the fields of `Evidence`."""

    FINISHED = "finished"
    DECISIONS = "decisions"
    SPENT = "spent"
    RESTATED = "restated"
    CLEARED = "cleared"


EVERYTHING = frozenset(Kind)


@dataclass(frozen=True)
class Evidence:
    """Rows of the repository that belong together."""

    finished: list[FinishedImages] = field(default_factory=list)
    decisions: list[DecisionCount] = field(default_factory=list)
    spent: list[SpentTime] = field(default_factory=list)
    restated: list[RestatedImage] = field(default_factory=list)
    cleared: list[ClearedImages] = field(default_factory=list)

    def by_line(self) -> "dict[str | None, Evidence]":
        return self._by(lambda row: row.line)

    def by_bucket(self, size: Bucket) -> "dict[date, Evidence]":
        """Under the first day of each."""
        return self._by(lambda row: first_day(row.day, size))

    def _by(self, key: Callable[[Any], Any]) -> "dict[Any, Evidence]":
        parts: dict[Any, Evidence] = defaultdict(Evidence)
        for name, rows in vars(self).items():
            for row in rows:
                getattr(parts[key(row)], name).append(row)
        return dict(parts)

    @classmethod
    def join(cls, parts: "Sequence[Evidence]") -> "Evidence":
        return cls(*([row for part in parts for row in vars(part)[x.name]] for x in fields(cls)))

    @property
    def finished_images(self) -> int:
        return sum(row.count for row in self.finished)

    @property
    def active_hours(self) -> float:
        return sum(row.active_ms for row in self.spent) / 3_600_000

    @property
    def control(self) -> Control:
        return Control(self.times(Arm.CONTROL))

    def times(self, arm: Arm) -> list[Times]:
        """The images of one arm whose every step was timed."""
        return [
            Times(row.reviewer_id, week_of(row.day), row.seconds)
            for row in self.finished
            if row.arm == arm
        ]

    def seconds(self, arm: Arm | None = None) -> Floats:
        """Of each timed image, of one arm or whatever arm."""
        chosen = [row.seconds for row in self.finished if arm in (None, row.arm)]
        return np.concatenate(chosen) if chosen else np.empty(0)

    def time_saved(self, control: Control) -> TimeSaved | None:
        return formulas.time_saved(
            control,
            self.times(Arm.ASSISTED),
            auto_accepted_images=sum(row.count for row in self.cleared),
            audit_seconds=sum(row.audit_ms for row in self.spent) / 1000,
        )


@lru_cache(maxsize=10_000)
def first_day(day: date, size: Bucket) -> date:
    """Of the bucket that the day lies in; weeks begin on Monday."""
    if size == Bucket.MONTH:
        return day.replace(day=1)
    return week_of(day) if size == Bucket.WEEK else day


def span_of(day: date, size: Bucket) -> date:
    """The first of the days that figures by that size need not tell apart. Times are compared
    within a week, and a week may lie in two months."""
    if size == Bucket.MONTH:
        return max(week_of(day), first_day(day, size))
    return first_day(day, size)


def week_of(day: date) -> date:
    """Its Monday."""
    return day - timedelta(days=day.weekday())


def acceptance(decisions: Iterable[DecisionCount]) -> Share | None:
    """The share of shown suggestions that people accepted."""
    shown = Tally[str]()
    for row in decisions:
        if row.was_shown:
            shown[row.verdict] += row.count
    accepted, rejected = shown[Verdict.ACCEPT], shown[Verdict.REJECT]
    return formulas.share(accepted, accepted + rejected)


def suggestion_counts(decisions: Iterable[DecisionCount]) -> SuggestionCounts:
    """How suggestions and statements meet in these decisions."""
    met = Tally[tuple[str | None, str]]()
    for row in decisions:
        met[row.suggested_value, row.value] += row.count
    present, absent = LabelValue.PRESENT, LabelValue.ABSENT
    return SuggestionCounts(
        present_right=met[present, present],
        present_wrong=met[present, absent],
        absent_right=met[absent, absent],
        absent_wrong=met[absent, present],
        present=sum(count for (_, value), count in met.items() if value == present),
    )

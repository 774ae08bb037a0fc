"""The KPIs' mathematics: pure functions over plain numbers. Definitions: docs/explanation/kpis.md.

No database, no clock, no settings. Times are in seconds; every estimate that rests on a sample
carries its 95 % interval and the number of rows behind it.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054
MIN_CONTROL = 5
Floats = npt.NDArray[np.float64]
Group = tuple[Hashable, ...]
EVERYBODY: Group = ()


@dataclass(frozen=True)
class Times:
    """The active seconds of images that one reviewer finished in one week: shape (images,)."""

    reviewer: Hashable
    week: Hashable
    seconds: Sequence[float] | Floats


@dataclass(frozen=True)
class TimeSaved:
    """Labeling time saved, with what it rests on. `low` and `high` bound it with 95 %."""

    seconds: float
    low: float | None
    high: float | None
    control_mean: float
    assisted_mean: float | None
    control_images: int
    assisted_images: int
    auto_accepted_images: int
    audit_seconds: float


@dataclass(frozen=True)
class Share:
    """A proportion of `count` trials with its Wilson 95 % interval."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Rate:
    """So many an hour, with its 95 % interval."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SuggestionCounts:
    """How suggestions about one label compare with what people stated; unsure is left out.

    Counts of (suggested, stated): `*_right` agree. `present` is every statement of presence,
    whether the model suggested anything or not.
    """

    present_right: int = 0
    present_wrong: int = 0
    absent_right: int = 0
    absent_wrong: int = 0
    present: int = 0


@dataclass(frozen=True)
class SuggestionQuality:
    precision: Share | None
    recall: Share | None
    absent_precision: Share | None


@dataclass(frozen=True)
class Estimate:
    """A figure of a model, with its interval where one is known."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Gain:
    """One figure of one label: the first model's, the live model's, the difference."""

    first: float | None
    live: float | None
    gain: float | None
    low: float | None = None
    high: float | None = None


class Control:
    """The times of the control arm, and which of them other images are compared with.

    An image is compared with those of the same reviewer and week where they rest on at least
    `MIN_CONTROL` images, else with those of the same reviewer, else with everybody's.
    """

    def __init__(self, times: Iterable[Times]) -> None:
        weeks: dict[Hashable, dict[Hashable, list[Floats]]] = defaultdict(lambda: defaultdict(list))
        for one in times:
            weeks[one.reviewer][one.week].append(np.asarray(one.seconds, dtype=np.float64))
        ordered = [x for own in weeks.values() for week in own.values() for x in week]
        self._seconds = np.concatenate(ordered) if ordered else np.empty(0)
        # In this order the times of a week, of a reviewer and of everybody are neighbours.
        self._places: dict[Group, slice] = {EVERYBODY: slice(0, len(self._seconds))}
        end = 0
        for reviewer, own in weeks.items():
            first = end
            for week, parts in own.items():
                start, end = end, end + sum(len(part) for part in parts)
                self._places[reviewer, week] = slice(start, end)
            self._places[(reviewer,)] = slice(first, end)

    @property
    def images(self) -> int:
        return len(self._seconds)

    def reference(self, reviewer: Hashable, week: Hashable) -> Group:
        """Whose times are compared with; one of `EVERYBODY`, (reviewer,), (reviewer, week)."""
        keys = ((reviewer, week), (reviewer,))
        return next((key for key in keys if len(self._of(key)) >= MIN_CONTROL), EVERYBODY)

    def mean(self, reference: Group) -> float:
        """Seconds; there must be a control image."""
        return float(self._of(reference).mean())

    def spread(self, weights: Mapping[Group, int]) -> "Spread":
        """Of the sum of means, each taken so many times. Means that share control images err
        together, so it is counted what each image adds to their sum."""
        pull = np.zeros(len(self._seconds))
        for reference, weight in weights.items():
            seconds = self._of(reference)
            pull[self._places[reference]] += weight * (seconds - seconds.mean()) / len(seconds)
        return Spread.of_sum(pull)

    def _of(self, reference: Group) -> Floats:
        return self._seconds[self._places.get(reference, slice(0))]


@dataclass(frozen=True)
class Spread:
    """Second and third cumulant of what resampling would give: they add up over what is drawn
    apart, so nothing needs to be drawn."""

    second: float = 0.0
    third: float = 0.0

    @classmethod
    def of_sum(cls, deviations: Floats) -> "Spread":
        """Of the sum of as many values, drawn with replacement from values whose deviations from
        their mean these are."""
        squares = deviations * deviations
        return cls(float(squares.sum()), float((squares * deviations).sum()))

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.second + other.second, self.third + other.third)

    def interval(self, centre: float) -> tuple[float, float]:
        """Where 95 % lie: the normal distribution's bounds, moved by the skewness (Cornish and
        Fisher, 1937; Hall, The Bootstrap and Edgeworth Expansion, 1992, chapter 2)."""
        deviation = math.sqrt(self.second)
        cubed = deviation**3
        skewness = self.third / cubed if cubed > 0 else 0.0
        shift = skewness * (Z_95**2 - 1) / 6
        return centre + deviation * (shift - Z_95), centre + deviation * (shift + Z_95)


def time_saved(
    control: Control,
    assisted: Sequence[Times],
    *,
    auto_accepted_images: int = 0,
    audit_seconds: float = 0.0,
) -> TimeSaved | None:
    """Sum over assisted images of (control mean - their time), plus auto-accepted images times
    the control mean, minus the time of audits. None without a single control image.

    The interval is that of the percentile bootstrap over images (Efron and Tibshirani, 1993,
    chapter 13), control and assisted apart: its limit for ever more resamples, to the third
    moment. There is none with fewer than two control images.
    """
    if control.images == 0:
        return None
    weights: dict[Group, int] = defaultdict(int, {EVERYBODY: auto_accepted_images})
    own: dict[Group, list[Floats]] = defaultdict(list)
    for one in assisted:
        reference = control.reference(one.reviewer, one.week)
        weights[reference] += len(one.seconds)
        own[reference].append(np.asarray(one.seconds, dtype=np.float64))
    seconds = [np.concatenate(parts) for parts in own.values()]
    saved = sum(weight * control.mean(key) for key, weight in weights.items())
    saved -= sum(float(one.sum()) for one in seconds) + audit_seconds
    low, high = None, None
    if control.images > 1:
        drawn = (Spread.of_sum(one.mean() - one) for one in seconds if len(one))
        low, high = sum(drawn, control.spread(weights)).interval(saved)
    return TimeSaved(
        seconds=saved,
        low=low,
        high=high,
        control_mean=control.mean(EVERYBODY),
        assisted_mean=mean(np.concatenate(seconds)) if seconds else None,
        control_images=control.images,
        assisted_images=sum(len(one) for one in seconds),
        auto_accepted_images=auto_accepted_images,
        audit_seconds=audit_seconds,
    )


def share(successes: int, trials: int) -> Share | None:
    """A proportion with its score interval (Wilson, 1927); None of nothing."""
    if trials == 0:
        return None
    p = successes / trials
    denominator = 1 + Z_95**2 / trials
    centre = (p + Z_95**2 / (2 * trials)) / denominator
    half = Z_95 * math.sqrt(p * (1 - p) / trials + Z_95**2 / (4 * trials**2)) / denominator
    return Share(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), trials)


def suggestion_quality(counts: SuggestionCounts) -> SuggestionQuality:
    """Precision and recall of suggested presence, precision of suggested absence.

    A label that people found and the model did not suggest counts against the recall.
    """
    return SuggestionQuality(
        precision=share(counts.present_right, counts.present_right + counts.present_wrong),
        recall=share(counts.present_right, counts.present),
        absent_precision=share(counts.absent_right, counts.absent_right + counts.absent_wrong),
    )


def throughput(seconds: Floats) -> Rate | None:
    """Images finished per hour of active time, from the time of each: shape (images,)."""
    total = float(seconds.sum())
    if total <= 0:
        return None
    low, high = None, None
    if len(seconds) > 1:
        # The fewer seconds an image takes, the more of them an hour holds.
        fast, slow = Spread.of_sum(seconds - seconds.mean()).interval(total)
        low, high = len(seconds) * 3600 / slow, len(seconds) * 3600 / fast if fast > 0 else None
    return Rate(len(seconds) * 3600 / total, low, high)


def agreement(units: Iterable[Sequence[Hashable]]) -> tuple[float, int] | None:
    """Krippendorff's alpha for nominal values, and how many units have two opinions or more.

    A unit is one (image, label): the values that different people stated. 1 is agreement, 0 what
    chance would give (Krippendorff, Content Analysis, 4th edition, chapter 12). None when no
    unit has two opinions.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    if not pairable:
        return None
    totals: dict[Hashable, float] = defaultdict(float)
    disagreements = 0.0
    for unit in pairable:
        counts = {value: unit.count(value) for value in set(unit)}
        for value, count in counts.items():
            totals[value] += count
            disagreements += count * (len(unit) - count) / (len(unit) - 1)
    n = sum(totals.values())
    expected = sum(count * (n - count) for count in totals.values()) / (n - 1)
    return (1 - disagreements / expected if expected else 1.0), len(pairable)


def gain(first: Estimate | None, live: Estimate | None) -> Gain:
    """What the live model is better by; unknown when either figure is.

    The interval joins those of both figures as if they were independent (Zou and Donner, 2008).
    Both rest on much the same photos, so it is rather too wide than too narrow.
    """
    if first is None or live is None:
        return Gain(first.value if first else None, live.value if live else None, None)
    difference = live.value - first.value
    if first.interval is None or live.interval is None:
        return Gain(first.value, live.value, difference)
    below = math.hypot(live.value - live.interval[0], first.interval[1] - first.value)
    above = math.hypot(live.interval[1] - live.value, first.value - first.interval[0])
    interval = (difference - below, difference + above)
    return Gain(first.value, live.value, difference, *interval)


def mean(values: Sequence[float] | Floats) -> float | None:
    return float(np.mean(values)) if len(values) else None

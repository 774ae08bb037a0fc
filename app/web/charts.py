"""Geometry of the small charts that pages draw as SVG. Pure functions: numbers in, numbers out.

Only presentation attributes and classes are used, because the pages forbid inline styles.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AXIS = 36.0  # to the left of the columns, for what the ticks say
HEAD = 16.0  # above the highest column, for its value
MOST_NAMES = 6
MOST_VALUES = 8


@dataclass(frozen=True)
class Figure:
    """A number with the interval around it, where one is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Point:
    """What a chart shows of one bucket; without a value its place stays empty."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bar:
    """One column of a chart, in the chart's own units, from the zero line up or down.

    `whisker`: the upper and the lower end of its interval. `label_y`: where its value is written.
    `is_named`: its label stands below the chart; where columns are many, not all have room.
    """

    x: float
    y: float
    width: float
    height: float
    point: Point
    whisker: tuple[float, float] | None
    label_y: float
    is_named: bool

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Tick:
    y: float
    value: float


@dataclass(frozen=True)
class Chart:
    """Columns with an axis; `digits`: how many decimals its ticks need."""

    width: float
    height: float
    bars: list[Bar]
    ticks: list[Tick]
    digits: int
    has_values: bool


@dataclass(frozen=True)
class Dot:
    """One bin of a reliability diagram, in the chart's own units; its area grows with its count."""

    x: float
    y: float
    radius: float


def figure(given: Any) -> Figure | None:
    """A figure from what services write: a number, a mapping or an object with its interval."""
    if given is None:
        return None
    if isinstance(given, int | float):
        return Figure(float(given))
    parts = given if isinstance(given, Mapping) else vars(given)
    value = parts.get("value")
    return None if value is None else Figure(float(value), parts.get("low"), parts.get("high"))


def series_chart(
    points: Sequence[Point], *, width: float, height: float, top: float | None = None
) -> Chart | None:
    """Columns around a zero line, with whiskers where an interval is known; None of nothing.

    `top` fixes what the axis ends with, as 1 for shares; else the axis follows the numbers.
    """
    known = [point for point in points if point.value is not None]
    if not known:
        return None
    reach = [n for p in known for n in (p.value, p.low, p.high) if n is not None]
    step = _round_step(min(0.0, *reach), max(0.0, *reach) if top is None else top)
    lowest = step * math.floor(min(0.0, *reach) / step)
    highest = step * math.ceil((max(0.0, *reach) if top is None else top) / step)
    highest = max(highest, lowest + step)

    def y(value: float) -> float:
        return HEAD + (height - HEAD) * (highest - value) / (highest - lowest)

    pitch = min((width - AXIS) / len(points), 72.0)
    every = math.ceil(len(points) / MOST_NAMES)
    bars = [
        _bar(point, AXIS + index * pitch, pitch, y, is_named=(len(points) - 1 - index) % every == 0)
        for index, point in enumerate(points)
        if point.value is not None
    ]
    count = round((highest - lowest) / step)
    ticks = [Tick(y(lowest + k * step), lowest + k * step) for k in range(count + 1)]
    digits = max(0, -math.floor(math.log10(step)))
    return Chart(width, height, bars, ticks, digits, len(points) <= MOST_VALUES)


def _bar(
    point: Point, x: float, pitch: float, y: Callable[[float], float], *, is_named: bool
) -> Bar:
    value = point.value or 0.0
    upper, lower = y(max(value, 0.0)), y(min(value, 0.0))
    has_interval = point.low is not None and point.high is not None
    whisker = (y(point.high or 0.0), y(point.low or 0.0)) if has_interval else None
    return Bar(
        x=x + 0.15 * pitch,
        y=upper,
        width=0.7 * pitch,
        height=lower - upper,
        point=point,
        whisker=whisker,
        label_y=min([upper, *(whisker or ())]) - 4,
        is_named=is_named,
    )


def _round_step(lowest: float, highest: float) -> float:
    """1, 2 or 5 times a power of ten, so that four steps or fewer span the numbers."""
    span = (highest - lowest) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(power * k for k in (1, 2, 5, 10) if span / (power * k) <= 4 + 1e-9)


def reliability_dots(
    bins: Sequence[Mapping[str, float]], *, size: float, largest: float = 9.0
) -> list[Dot]:
    """Confidence to the right and frequency upwards, both 0 to 1, in a square of `size`.

    The fullest bin has the radius `largest`; the emptiest can still be seen.
    """
    fullest = max((one["count"] for one in bins), default=1)
    return [
        Dot(
            x=size * one["confidence"],
            y=size * (1 - one["frequency"]),
            radius=max(largest * (one["count"] / fullest) ** 0.5, 2.5),
        )
        for one in bins
    ]


@dataclass(frozen=True)
class Axis:
    """An axis for shares from `low` to 1 that several charts have in common, from `left` on."""

    low: float
    width: float
    left: float = 6.0

    def x(self, share: float) -> float:
        room = self.width - 2 * self.left
        return self.left + room * (max(share, self.low) - self.low) / (1 - self.low)

    @property
    def ticks(self) -> list[float]:
        """Round shares, the ends among them, six at most."""
        steps = round((1 - self.low) * 10)
        stride = 1 if steps <= 5 else 2
        return [round(1 - 0.1 * step, 1) for step in range(0, steps + 1, stride)][::-1]


def common_axis(figures: Sequence[Figure], *, width: float) -> Axis:
    """From the round share below every figure and interval, so that differences can be seen."""
    lowest = min((one.value if one.low is None else one.low for one in figures), default=0.0)
    # An even number of tenths, so that every other one is a tick as well.
    low = 1 - 0.2 * math.ceil((1 - min(max(lowest, 0.0), 0.8)) * 5 - 1e-9)
    return Axis(low=max(round(low, 1), 0.0), width=width)

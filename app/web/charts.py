"""Geometry of the small charts that pages draw as SVG. Pure functions: numbers in, numbers out.

Only presentation attributes and classes are used, because the pages forbid inline styles.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A number with the interval around it, where one is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bar:
    """One column of a chart, in the chart's own units; `label` is what stands below it."""

    x: float
    y: float
    width: float
    height: float
    label: str
    value: float


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


def columns(
    points: Sequence[tuple[str, float]], *, width: float, height: float, gap: float = 0.3
) -> list[Bar]:
    """Columns that fill the given box, the highest reaching its top. `gap`: share left free."""
    top = max((value for _, value in points), default=0.0) or 1.0
    step = min(width / max(len(points), 1), 72.0)
    return [
        Bar(
            x=index * step + step * gap / 2,
            y=height - height * max(value, 0.0) / top,
            width=step * (1 - gap),
            height=height * max(value, 0.0) / top,
            label=label,
            value=value,
        )
        for index, (label, value) in enumerate(points)
    ]


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

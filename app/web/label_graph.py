"""Geometry of the picture of context groups: labels on a ring, the members of a group side by side,
lines between labels that occur together. Pure functions: numbers in, numbers out.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal

NAME_WIDTH = 140.0  # room for names on either side of the ring
NODE_RADIUS = 12.0
HULL_RADIUS = 20.0
NAME_DISTANCE = 28.0  # from the node, outwards: clear of the hull
LEAST_RING, RING_PER_LABEL = 110.0, 8.0
GAP = 0.6  # between groups, in widths of a label
FAINTEST = 0.02  # a line of less NPMI would not be seen


@dataclass(frozen=True)
class Node:
    """The label of a column: its place, its group's mark, and where its name stands."""

    column: int
    mark: str
    x: float
    y: float
    name_x: float
    name_y: float
    anchor: Literal["start", "end"]


@dataclass(frozen=True)
class Hull:
    """An arc behind the nodes of a group, as an SVG path."""

    group: int
    path: str


@dataclass(frozen=True)
class Line:
    """Between two labels; `within` says that they are of one group."""

    first: Node
    second: Node
    npmi: float
    within: bool

    @property
    def width(self) -> float:
        return 1 + 9 * self.npmi


@dataclass(frozen=True)
class Graph:
    width: float
    height: float
    nodes: tuple[Node, ...]
    hulls: tuple[Hull, ...]
    lines: tuple[Line, ...]


def mark(group: int) -> str:
    """What a group is called in the picture and in the list beside it: A, B, …"""
    return ascii_uppercase[group] if group < len(ascii_uppercase) else str(group + 1)


def label_graph(assignment: Sequence[int], links: Iterable[tuple[int, int, float]]) -> Graph:
    """The picture of a partition: `assignment` is the group of each column, `links` are pairs of
    columns with their NPMI in 0..1."""
    ring = max(LEAST_RING, RING_PER_LABEL * len(assignment))
    width, height = 2 * (ring + NAME_DISTANCE + NAME_WIDTH), 2 * (ring + NAME_DISTANCE + 12)
    angles = _angles(assignment)
    place = _Ring(width / 2, height / 2, ring)
    nodes = {column: place.node(column, assignment[column], angles[column]) for column in angles}
    drawn = sorted((link for link in links if link[2] >= FAINTEST), key=lambda link: link[2])
    return Graph(
        width,
        height,
        nodes=tuple(nodes.values()),
        hulls=tuple(
            place.hull(group, [angles[c] for c in angles if assignment[c] == group])
            for group in sorted(set(assignment))
        ),
        lines=tuple(
            Line(nodes[i], nodes[j], npmi, within=assignment[i] == assignment[j])
            for i, j, npmi in drawn
        ),
    )


def _angles(assignment: Sequence[int]) -> dict[int, float]:
    """The direction of each column from the middle, clockwise from the top, in the ring's order."""
    groups = len(set(assignment))
    gap = GAP if groups > 1 else 0.0
    step = 2 * math.pi / (len(assignment) + gap * groups)
    order = sorted(range(len(assignment)), key=lambda column: assignment[column])
    before = {group: number for number, group in enumerate(sorted(set(assignment)))}
    return {
        column: (position + 0.5 + gap * (before[assignment[column]] + 0.5)) * step
        for position, column in enumerate(order)
    }


@dataclass(frozen=True)
class _Ring:
    x: float
    y: float
    radius: float

    def point(self, angle: float, beyond: float = 0.0) -> tuple[float, float]:
        radius = self.radius + beyond
        return self.x + radius * math.sin(angle), self.y - radius * math.cos(angle)

    def node(self, column: int, group: int, angle: float) -> Node:
        anchor: Literal["start", "end"] = "start" if math.sin(angle) >= 0 else "end"
        name = self.point(angle, NAME_DISTANCE)
        return Node(column, mark(group), *self.point(angle), *name, anchor)

    def hull(self, group: int, angles: Sequence[float]) -> Hull:
        """From the first to the last label of a group, clockwise."""
        # An arc to its own beginning would not be drawn: a lone label needs a little length.
        first, last = min(angles) - 0.01, max(angles) + 0.01
        (x1, y1), (x2, y2) = self.point(first), self.point(last)
        large = int(last - first > math.pi)
        r = self.radius
        return Hull(group, f"M{x1:.1f} {y1:.1f}A{r:.1f} {r:.1f} 0 {large} 1 {x2:.1f} {y2:.1f}")

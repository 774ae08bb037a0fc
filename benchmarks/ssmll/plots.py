"""Pictures beside the tables: average precision against the share of labels, and reliability."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from worker.learning.method import KIZU

if TYPE_CHECKING:
    from benchmarks.ssmll.tables import Draws, Group

DPI = 110


def curves(group: Group, path: Path) -> None:
    """Mean test mAP of each method at each share, with a band of one standard deviation."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    lines: dict[str, dict[float, list[float]]] = defaultdict(dict)
    for share in group.shares:
        for method, draws in group.at[share].items():
            lines[method][share] = [run["map"] for run in draws.values()]
    for number, (method, points) in enumerate(sorted(lines.items())):
        _line(axes, method, points, number)
    if group.bound:
        top = float(np.mean([run["map"] for run in group.bound.values()]))
        axes.axhline(top, color="black", linestyle=":", label="upper bound")
    axes.set(xlabel="labelled share of the train photos", ylabel="test mAP", xscale="log")
    axes.set_xticks(group.shares, [f"{share * 100:g} %" for share in group.shares], minor=False)
    axes.minorticks_off()
    axes.set_title(group.setting.title)
    figure.legend(loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=DPI)


def _line(axes: Axes, method: str, points: dict[float, list[float]], number: int) -> None:
    shares = np.array(sorted(points))
    mean = np.array([np.mean(points[share]) for share in shares])
    spread = np.array([np.std(points[share]) for share in shares])
    (line,) = axes.plot(
        shares,
        mean,
        marker="osD^v"[number % 5],
        color=f"C{number % 10}",
        linestyle="-" if number < 10 else "--",
        linewidth=3 if method == KIZU.name else 1.2,
        label=method,
    )
    axes.fill_between(shares, mean - spread, mean + spread, color=line.get_color(), alpha=0.15)


def reliability(group: Group, path: Path) -> None:
    """Share of positives against predicted probability of Kizu's runs, all draws together."""
    shares = [share for share in group.shares if KIZU.name in group.at[share]]
    if not shares:
        return
    figure = Figure(figsize=(3.2 * len(shares), 3.4), layout="constrained")
    for axes, share in zip(figure.subplots(1, len(shares), squeeze=False)[0], shares, strict=True):
        _reliability(axes, group.at[share][KIZU.name])
        axes.set_title(f"{share * 100:g} % of the labels", fontsize="small")
    figure.suptitle(f"kizu, {group.setting.title}", fontsize="small")
    figure.savefig(path, dpi=DPI)


def _reliability(axes: Axes, draws: Draws) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for when, colour in (("before", "C1"), ("after", "C0")):
        points = np.array([row for run in draws.values() for row in run["reliability"][when]])
        axes.scatter(
            points[:, 1],
            points[:, 2],
            s=4 + 60 * points[:, 0] / points[:, 0].max(),
            color=colour,
            alpha=0.6,
            label=f"{when} calibration",
        )
    axes.set(xlabel="predicted probability", ylabel="share present", aspect="equal")
    axes.legend(fontsize="x-small")

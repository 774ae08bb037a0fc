"""Tables over the finished runs of `benchmarks.rivals`: means, and paired differences to Kizu."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

OURS = "kizu"


def print_table(results: Path) -> None:
    """Mean test mAP of each method, a table a pack and share, in Markdown.

    The difference to Kizu is paired by label draw; its interval is Student's, from two draws on.
    """
    runs = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    cells: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        cells[run["pack"], run["share"]].append(run)
    for (pack, share), members in sorted(cells.items()):
        print(f"\n### {pack}, {share:.0%} of the labels\n")
        print("| method | draws | test mAP | without doubted cells | kizu minus it | seconds |")
        print("|---|---|---|---|---|---|")
        print("\n".join(_rows(members)))


def _rows(runs: list[dict[str, Any]]) -> list[str]:
    methods: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for run in runs:
        methods[run["method"]][run["seed"]] = run
    ours = methods.get(OURS, {})
    ranked = sorted(methods.items(), key=lambda item: -_mean(item[1], "map"))
    return [
        f"| {name} | {len(draws)} | {_mean(draws, 'map'):.3f} | {_mean(draws, 'map_strict'):.3f} "
        f"| {_difference(ours, draws) if name != OURS else ''} "
        f"| {_mean(draws, 'train_seconds'):.0f} |"
        for name, draws in ranked
    ]


def _mean(draws: dict[int, dict[str, Any]], figure: str) -> float:
    return float(np.mean([run[figure] for run in draws.values()]))


def _difference(ours: dict[int, dict[str, Any]], theirs: dict[int, dict[str, Any]]) -> str:
    shared = sorted(ours.keys() & theirs.keys())
    gaps = np.array([ours[seed]["map"] - theirs[seed]["map"] for seed in shared])
    if len(gaps) == 0:
        return ""
    if len(gaps) == 1:
        return f"{gaps[0]:+.3f}"
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
    return f"{gaps.mean():+.3f} ± {half:.3f}"

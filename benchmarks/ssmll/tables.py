"""Tables over finished runs: Markdown to read, CSV to compute with, plots beside them.

Methods are compared on the same draws of labels, so a difference is taken draw by draw; its 95 %
interval is Student's, from two draws on.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.ssmll import plots
from benchmarks.ssmll.study import SEARCH, read
from worker.learning.baselines.supervised import SUPERVISED_ASL, SUPERVISED_BCE, UPPER_BOUND
from worker.learning.method import KIZU

Run = dict[str, Any]
Draws = dict[int, Run]  # the runs of one method, by seed

NOTES = """\
Mean ± standard deviation over label draws. *kizu minus it* is paired by draw, with Student's 95 %
interval. *recovered* is the part of the distance from the better supervised line of the same share
to the upper bound (all labels) that a method covers, in percent, on common draws. F1 from a
probability of 0.5 on, and in brackets from thresholds chosen on labelled photos (on held-out
scores where the method makes some). Pseudo-labels: precision / recall of those of the last round,
on photos whose labels were hidden. ECE before → after the method's own calibration; methods that
hold nothing out have none; in brackets what these test photos would show by chance if every
probability were right. Seconds hold warm-up and cross-fitting that a method shares with others.
The supervised lines and the upper bound have Kizu's head without what part models settle;
fixmatch, cap, dicap and ups have that of ml-decoder; the others their own. † settings chosen by
`--search`; without it they are Kizu's."""


@dataclass(frozen=True)
class Setting:
    """What runs must share to stand in one table."""

    pack: str
    mode: str
    backbone: str
    version: str

    @classmethod
    def of(cls, run: Run) -> "Setting":
        # Random weights have a version for each seed.
        version = "" if run["backbone"].endswith("-untrained") else run["backbone_version"]
        return cls(run["pack"], run["mode"], run["backbone"], version)

    @property
    def title(self) -> str:
        return f"{self.pack}, {self.mode}, {self.backbone} {self.version}".strip()

    @property
    def stem(self) -> str:
        parts = (self.pack, self.mode, self.backbone.replace("/", "_"), self.version)
        return "-".join(filter(None, parts))


@dataclass(frozen=True)
class Group:
    """The runs of one setting: `at[share][method][seed]`."""

    setting: Setting
    at: dict[float, dict[str, Draws]]

    @property
    def bound(self) -> Draws:
        return self.at.get(1.0, {}).get(UPPER_BOUND.name, {})

    @property
    def shares(self) -> list[float]:
        """Those at which anything but the upper bound was run."""
        return sorted(s for s, methods in self.at.items() if set(methods) - {UPPER_BOUND.name})


def write_tables(out: Path) -> str:
    """Write `table.md`, `table.csv` and plots over the runs in `out`; returns the Markdown."""
    runs = [read(file) for file in sorted(out.glob("*.json")) if not file.stem.startswith(SEARCH)]
    if not runs:
        return f"{out} holds no finished run."
    groups = grouped(runs)
    text = "\n".join([NOTES, *(markdown(group) for group in groups)])
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    (out / "table.csv").write_text(as_csv(runs), encoding="utf-8")
    for group in groups:
        plots.curves(group, out / f"map-{group.setting.stem}.png")
        plots.reliability(group, out / f"reliability-{group.setting.stem}.png")
    return text


def grouped(runs: Sequence[Run]) -> list[Group]:
    at: dict[Setting, dict[float, dict[str, Draws]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for run in runs:
        at[Setting.of(run)][run["share"]][run["method"]][run["seed"]] = run
    return [Group(setting, shares) for setting, shares in sorted(at.items(), key=_title)]


def _title(item: tuple[Setting, Any]) -> str:
    return item[0].title


COLUMNS: dict[str, Callable[[Draws], str]] = {
    "draws": lambda draws: str(len(draws)),
    "test mAP": lambda draws: _spread(_values(draws, "map")),
    "strict mAP": lambda draws: _mean(_values(draws, "map_strict")),
    "CF1": lambda draws: _both(draws, "cf1"),
    "OF1": lambda draws: _both(draws, "of1"),
    "present p / r": lambda draws: _pseudo_labels(draws, "present"),
    "absent p / r": lambda draws: _pseudo_labels(draws, "absent"),
    "ECE": lambda draws: _calibration_errors(draws),
    "seconds": lambda draws: f"{np.mean(_values(draws, 'train_seconds')):.0f}",
    "peak MB": lambda draws: f"{np.mean(_values(draws, 'peak_memory_mb')):.0f}",
}


def markdown(group: Group) -> str:
    """A table for each share of labels, the best method first."""
    parts = []
    for share in group.shares:
        methods = dict(group.at[share])
        if group.bound:
            methods[UPPER_BOUND.name] = group.bound
        head = ["method", *COLUMNS, "kizu minus it", "recovered"]
        ranked = sorted(methods, key=lambda name: -float(np.mean(_values(methods[name], "map"))))
        rows = [_row(name, methods) for name in ranked]
        lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
        title = f"\n### {group.setting.title}: {share * 100:g} % of the labels\n"
        parts.append("\n".join([title, *lines]))
    return "\n".join(parts)


def _row(name: str, methods: dict[str, Draws]) -> list[str]:
    draws = methods[name]
    cells = [column(draws) for column in COLUMNS.values()]
    ours = methods.get(KIZU.name, {})
    gap = "" if name == KIZU.name else difference(ours, draws)
    marked = f"{name} †" if any(run["tuned"] for run in draws.values()) else name
    return [marked, *cells, gap, _recovered(name, methods)]


def _values(draws: Draws, figure: str) -> list[float]:
    return [run[figure] for run in draws.values()]


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else "–"


def _spread(values: Sequence[float]) -> str:
    return _mean(values) + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def _both(draws: Draws, figure: str) -> str:
    return f"{_mean(_values(draws, figure))} ({_mean(_values(draws, f'{figure}_mat'))})"


def _pseudo_labels(draws: Draws, value: str) -> str:
    pairs = [run["pseudo_labels"][value] for run in draws.values() if run["pseudo_labels"]]
    return " / ".join(_mean(column) for column in zip(*pairs, strict=True)) if pairs else "–"


def _calibration_errors(draws: Draws) -> str:
    before, after = (
        _mean([run["ece"][when] for run in draws.values()]) for when in ("before", "after")
    )
    chance = [chance_calibration_error(run["reliability"]["after"]) for run in draws.values()]
    return f"{before} → {after} ({_mean(chance)})"


def chance_calibration_error(bins: Sequence[Sequence[float]]) -> float:
    """The error that perfect probabilities are expected to show in `bins` of finite size.

    `bins` are (count, mean confidence, frequency). The frequency of n answers strays from
    confidence c by sqrt(2 c (1 - c) / (pi n)) on average, the mean deviation of a normal variable.
    """
    count, confidence, _ = np.array(bins).T
    stray = np.sqrt(2 * confidence * (1 - confidence) * count / np.pi)
    return float(stray.sum() / count.sum())


def difference(ours: Draws, theirs: Draws) -> str:
    """Mean of ours minus theirs over common draws, with the half width of its interval."""
    shared = sorted(ours.keys() & theirs.keys())
    gaps = np.array([ours[seed]["map"] - theirs[seed]["map"] for seed in shared])
    if len(gaps) == 0:
        return ""
    if len(gaps) == 1:
        return f"{gaps[0]:+.3f}"
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
    return f"{gaps.mean():+.3f} ± {half:.3f}"


def _recovered(name: str, methods: dict[str, Draws]) -> str:
    """(it - supervised) / (upper bound - supervised), each a mean over their common draws."""
    bound, draws = methods.get(UPPER_BOUND.name, {}), methods[name]
    lines = (methods.get(line.name, {}) for line in (SUPERVISED_BCE, SUPERVISED_ASL))
    supervised = max(lines, key=lambda line: float(np.mean(_values(line, "map") or [0.0])))
    shared = bound.keys() & draws.keys() & supervised.keys()
    if not shared or draws in (bound, supervised):
        return ""
    top, own, base = (
        float(np.mean([line[seed]["map"] for seed in shared]))
        for line in (bound, draws, supervised)
    )
    return f"{(own - base) / (top - base):.0%}" if top > base else ""


def as_csv(runs: Sequence[Run]) -> str:
    """A line for each run: its plain figures, nested ones by dotted names."""
    rows = [_flat(run) for run in runs]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(run: Run, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in run.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif not prefix.startswith("reliability"):
            plain = "|".join(map(str, value)) if isinstance(value, list) else value
            flat[f"{prefix}{name}"] = plain
    return flat

"""Runs what has no file yet: a unit is one draw of labels and methods that share a warm-up.

Units go to worker processes; a lock on each keeps two commands from doing the same one. A process
that dies lets go of its lock, and whoever takes the unit up goes on from its checkpoints.
"""

import importlib.metadata
import json
import multiprocessing
import os
import platform
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.locks import claimed
from benchmarks.settings import show
from benchmarks.ssmll.bench import Bench, Trained, warm_up_name
from benchmarks.ssmll.scores import rounded, scores
from benchmarks.ssmll.study import Draw, Study, read, write
from worker.learning.baselines import METHODS
from worker.learning.method import Method
from worker.learning.progress import Progress

WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Unit:
    """Methods, by name, that share the warm-up `group` on one draw."""

    draw: Draw
    group: str
    methods: tuple[str, ...]


class Outcome(StrEnum):
    DONE = "done"
    BUSY = "busy"  # another command works on it
    FAILED = "failed"


class OtherRuns(Exception):
    """The folder holds a run of the same name that was made in another way."""


Follow = Callable[[Progress], None]
Work = Callable[[Study, Unit, Follow], None]
FileOf = Callable[[Draw, Method], Path]


def units(
    study: Study, draws: Iterable[Draw], methods: Sequence[Method], file_of: FileOf
) -> list[Unit]:
    """What has no file yet, draw by draw. Raises `OtherRuns`."""
    groups: dict[tuple[float, int, str], tuple[Draw, dict[str, None]]] = {}
    for draw in draws:
        for method in methods:
            tuned, file = study.tuned(draw, method), file_of(draw, method)
            if file.exists():
                _check_alike(study, file, tuned)
                continue
            own = draw.for_method(method)
            group = warm_up_name(method, method.configured(study.config(draw.seed, tuned)))
            members = groups.setdefault((own.share, own.seed, group), (own, {}))[1]
            members[method.name] = None  # once: the upper bound is the same for every share
    return [Unit(draw, key[2], tuple(names)) for key, (draw, names) in groups.items()]


def _check_alike(study: Study, file: Path, tuned: dict[str, Any]) -> None:
    """Runs made with other settings or other weights must not stand in one table."""
    run = read(file)
    changed = json.loads(json.dumps(study.changed))  # as it comes back from a file
    alike = run["changed"] == changed and run.get("tuned", tuned) == tuned
    if not alike or study.version not in ("", run["backbone_version"]):
        raise OtherRuns(f"{file} was made with other settings or weights; choose another --out")


def run_all(study: Study, pending: list[Unit], work: Work, jobs: int) -> int:
    """Do `work` on everything; returns how many units failed.

    Waits for what other commands work on, and then looks whether anything of it is left.
    """
    failed = 0
    while pending:
        outcomes = _run(study, pending, work, jobs)
        failed += outcomes.count(Outcome.FAILED)
        pending = [u for u, o in zip(pending, outcomes, strict=True) if o is Outcome.BUSY]
        if pending:
            print(f"another command works on {len(pending)} of these groups", file=sys.stderr)
            time.sleep(WAIT_SECONDS)
    return failed


def _run(study: Study, pending: list[Unit], work: Work, jobs: int) -> list[Outcome]:
    if jobs == 1:
        return [_run_unit(study, work, show, unit) for unit in pending]
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(os.getpid(),),
        max_tasks_per_child=1,
    )
    with pool:
        return list(pool.map(partial(_run_unit, study, work, _silence), pending))


def _silence(progress: Progress) -> None:
    """Several processes would write over each other's line."""


def _start_worker(parent: int) -> None:
    """One thread to compute with, and none of it after the command itself is gone."""
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_unit(study: Study, work: Work, follow: Follow, unit: Unit) -> Outcome:
    with claimed(study.lock(unit.draw, unit.group)) as ours:
        if not ours:
            return Outcome.BUSY
        try:
            work(study, unit, follow)
        except Exception:  # the other units are worth finishing
            traceback.print_exc()
            return Outcome.FAILED
    return Outcome.DONE


def compare(study: Study, unit: Unit, follow: Follow) -> None:
    """Run the methods of a unit that still have no file."""
    draw = unit.draw
    files = {name: study.file(draw, METHODS[name]) for name in unit.methods}
    missing = [METHODS[name] for name, file in files.items() if not file.exists()]
    if not missing:
        return
    bench = Bench(draw, study.load(draw.seed), study.config(draw.seed), study.scratch, follow)
    for method in missing:
        tuned = study.tuned(draw, method)
        trained = bench.train(method, tuned)
        result = describe(study, draw, method, trained) | scores(trained, draw)
        write(files[method.name], result)
        bench.forget(method, tuned)
        print(f"\r{files[method.name].stem}: mAP {result['map']:.4f}{'':60}", file=sys.stderr)


def describe(study: Study, draw: Draw, method: Method, trained: Trained) -> dict[str, Any]:
    """What a run was and what it cost; `positives` counts each label among the labelled photos.

    `train_seconds` hold what the method shares with others, photos made ready included.
    `peak_memory_mb` is what was resident in the process during training, files mapped from disk
    included, or on a GPU what torch allocated there.
    """
    rows, _ = draw.rows()
    card, keys = trained.model.card, [spec.key for spec in draw.pack.specs]
    positives = draw.pack.labels[rows].sum(axis=0)
    return {
        "pack": draw.pack.name,
        "share": draw.share,
        "mode": study.mode,
        "method": method.name,
        "seed": draw.seed,
        "backbone": study.backbone_name,
        "backbone_version": card.backbone_version,
        "labeled": len(rows),
        "positives": dict(zip(keys, positives.tolist(), strict=True)),
        "changed": study.changed,
        "tuned": study.tuned(draw, method),
        "train_seconds": rounded(trained.seconds),
        "peak_memory_mb": round(trained.peak_mb),
        "device": device_name(study.device),
        "threads": torch.get_num_threads(),
        "plan": asdict(trained.plan),
        "config": {k: v for k, v in card.to_json()["config"].items() if k != "plan"},
        "contexts": list(card.contexts.names),
        "code_version": importlib.metadata.version("kizu"),
    }


def device_name(device: str) -> str:
    """The GPU's own name, or the processor's where the system tells it."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    told = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", told.read_text()) if told.exists() else None
    return found[1] if found else platform.machine()

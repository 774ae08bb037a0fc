"""The command that compares methods: it runs, goes on after a kill, never does a run twice."""

import argparse
import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from benchmarks.datasets import read
from benchmarks.locks import claimed
from benchmarks.settings import change
from benchmarks.ssmll import runs
from benchmarks.ssmll.__main__ import main
from benchmarks.ssmll.bench import Bench
from benchmarks.ssmll.ledger import Ledger
from benchmarks.ssmll.search import grid, searchable
from benchmarks.ssmll.study import Draw, Study
from tests.learning.marks import QUICK, SPECS, backbone, write_pack
from worker.learning.baselines import METHODS
from worker.learning.plan import TrainingConfig
from worker.learning.progress import Stage
from worker.learning.trainer import train

QUICK_SETTINGS = [
    f"--set={name}={value}"
    for name, value in {
        "resolution": 48,
        "epochs": 2,
        "rounds": 1,
        "pseudo_labels": "true",
        "batch_labeled": 8,
        "batch_unlabeled": 8,
    }.items()
]
TRAIN, TEST = 24, 12


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_pack(tmp_path_factory.mktemp("packs") / "tiny", train=TRAIN, test=TEST)


def arguments(pack, out, methods, *more):
    return [f"--pack={pack}", f"--out={out}", f"--methods={methods}", *QUICK_SETTINGS, *more]


def stored(out):
    return {file.stem: json.loads(file.read_text()) for file in out.glob("*.json")}


@pytest.fixture(scope="module")
def finished(pack, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    methods = "kizu,kizu-equal-weights,supervised-bce,upper-bound"
    assert main(arguments(pack, out, methods, "--labeled=0.5", "--table")) == 0
    return out


def test_every_run_leaves_a_file_with_its_figures(finished):
    found = stored(finished)
    assert set(found) == {
        "tiny-0.5-tune-kizu-0",
        "tiny-0.5-tune-kizu-equal-weights-0",
        "tiny-0.5-tune-supervised-bce-0",
        "tiny-1-tune-upper-bound-0",
    }
    for run in found.values():
        assert 0.2 < run["map"] <= 1
        assert run["map"] == pytest.approx(np.mean(list(run["ap"].values())), abs=1e-3)
        assert all(0 <= run[name] <= 1 for name in ("cf1", "of1", "cf1_mat", "of1_mat"))
        for when in ("before", "after"):
            bins = np.array(run["reliability"][when])
            assert bins[:, 0].sum() == TEST * len(SPECS)
            gaps = np.abs(bins[:, 1] - bins[:, 2]) @ bins[:, 0] / bins[:, 0].sum()
            assert gaps == pytest.approx(run["ece"][when], abs=1e-3)
        assert run["train_seconds"] > 0
        assert 100 < run["peak_memory_mb"] < 10_000
    kizu, plain = found["tiny-0.5-tune-kizu-0"], found["tiny-0.5-tune-supervised-bce-0"]
    assert kizu["labeled"] == TRAIN // 2
    assert kizu["thresholds_from"] == "held-out"
    assert plain["thresholds_from"] == "train"
    assert kizu["pseudo_labels"]["count"] <= (TRAIN - TRAIN // 2) * len(SPECS)
    assert plain["pseudo_labels"] is None
    assert plain["ece"]["before"] == plain["ece"]["after"]
    assert found["tiny-1-tune-upper-bound-0"]["labeled"] == TRAIN
    assert kizu["changed"]["epochs"] == kizu["config"]["epochs"] == 2


def test_tables_and_plots_stand_beside_the_runs(finished):
    table = (finished / "table.md").read_text()
    assert "50 % of the labels" in table
    assert table.count("| upper-bound |") == 1
    with (finished / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["method"] for line in lines} == {
        run["method"] for run in stored(finished).values()
    }
    assert all(float(line["ap.bright"]) >= 0 for line in lines)
    pictures = sorted(finished.glob("*.png"))
    assert [picture.name.split("-")[0] for picture in pictures] == ["map", "reliability"]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_a_finished_run_is_not_repeated(pack, finished):
    before = {file: file.stat().st_mtime_ns for file in finished.glob("*.json")}
    assert main(arguments(pack, finished, "kizu,upper-bound", "--labeled=0.5")) == 0
    assert {file: file.stat().st_mtime_ns for file in finished.glob("*.json")} == before


def test_runs_of_other_settings_do_not_mix(pack, finished, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments(pack, finished, "kizu", "--labeled=0.5", "--set=lr=0.1"))
    assert stop.value.code == 2
    assert "choose another --out" in capsys.readouterr().err


def test_a_shared_warm_up_gives_the_weights_of_a_training_alone(pack, tmp_path):
    draw = Draw(read(str(pack), tmp_path), 0.5, 0)
    bench = Bench(draw, backbone(), QUICK, tmp_path / "scratch")
    for name in ("fixmatch", "ml-decoder"):
        shared = bench.train(METHODS[name], {})
    alone = train(
        draw.dataset(),
        draw.pack.specs,
        backbone(),
        QUICK,
        workdir=tmp_path / "alone",
        method=METHODS["ml-decoder"],
    )
    pairs = zip(
        shared.model.classifier.state_dict().values(),
        alone.classifier.state_dict().values(),
        strict=True,
    )
    assert all(torch.equal(one, other) for one, other in pairs)
    assert shared.model.card == alone.card


def command(*argv):
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ssmll", *argv],
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def comparable(run):
    return {k: v for k, v in run.items() if k not in ("train_seconds", "peak_memory_mb")}


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_result(pack, tmp_path):
    # Worker processes compute with one thread each, so the machine's cores do not move the result.
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    one, other = (
        arguments(pack, folder, "kizu", "--labeled=0.5", "--jobs=2")
        for folder in (undisturbed, out)
    )
    assert main(one) == 0
    killed = command(*other)
    while not list(out.glob(".scratch/*/*/warm-*/fold-0.safetensors")):
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (fold,) = out.glob(".scratch/*/*/warm-*/fold-0.safetensors")
    begun = fold.parent.stat().st_ino
    assert main(other) == 0
    name = "tiny-0.5-tune-kizu-0"
    assert comparable(stored(out)[name]) == comparable(stored(undisturbed)[name])
    assert fold.parent.stat().st_ino == begun  # gone on with, not begun anew


@pytest.mark.slow
def test_two_commands_at_once_share_the_work(pack, tmp_path, capsys):
    argv = arguments(pack, tmp_path, "supervised-bce,linear-probe", "--labeled=0.5")
    other = command(*argv)
    assert main(argv) == 0
    said = capsys.readouterr().err + other.communicate()[1].decode()
    assert other.returncode == 0
    assert said.count(": mAP") == len(stored(tmp_path)) == 2


def test_work_of_another_command_is_waited_for(pack, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "WAIT_SECONDS", 0.05)
    study = Study(out=tmp_path, scratch=tmp_path)
    draw = Draw(read(str(pack), tmp_path), 0.5, 0)
    (unit,) = runs.units(study, [draw], [METHODS["kizu"]], study.file)
    done = []
    with claimed(study.lock(unit.draw, unit.group)) as ours:
        assert ours
        waiting = threading.Thread(
            target=runs.run_all, args=(study, [unit], lambda *_: done.append(unit), 1)
        )
        waiting.start()
        time.sleep(0.2)
        assert not done
    waiting.join(timeout=10)
    assert done == [unit]


def test_a_failing_group_does_not_stop_the_others(pack, tmp_path, capsys):
    study = Study(out=tmp_path, scratch=tmp_path)
    draw = Draw(read(str(pack), tmp_path), 0.5, 0)
    two = runs.units(study, [draw], [METHODS["kizu"], METHODS["cap"]], study.file)
    done = []

    def work(study, unit, follow):
        if "kizu" in unit.methods:
            raise MemoryError("no room")
        done.append(unit)

    assert runs.run_all(study, two, work, 1) == 1
    assert [unit.methods for unit in done] == [("cap",)]
    assert "no room" in capsys.readouterr().err


def test_a_search_chooses_on_held_out_labels_and_runs_follow_it(pack, tmp_path):
    argv = arguments(pack, tmp_path, "supervised-bce,zero-shot", "--labeled=0.5", "--search")
    assert main(argv) == 0
    found = stored(tmp_path)
    searched = found["search-tiny-tune-supervised-bce"]
    assert searched["photos"] == {"trained": 10, "held_out": 2}
    assert [entry["lr"] for entry in searched["tried"]] == [0.001, 0.0005]
    best = max(searched["tried"], key=lambda entry: entry["map"] or 0)
    assert searched["chosen"]["lr"] == best["lr"]
    run = found["tiny-0.5-tune-supervised-bce-0"]
    assert run["tuned"] == searched["chosen"]
    assert run["config"]["lr"] == searched["chosen"]["lr"]
    assert found["tiny-0.5-tune-zero-shot-0"]["tuned"] == {}


def test_the_grid_has_four_points_where_there_are_pseudo_labels():
    config = TrainingConfig()
    assert len(grid(METHODS["kizu"], config)) == len(grid(METHODS["cap"], config)) == 4
    assert not any("lambda_unlabeled" in point for point in grid(METHODS["supervised-bce"], config))
    assert not searchable(METHODS["zero-shot-tokens"])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--methods=kizu,magic"], "magic"),
        (["--labeled=0.1,2"], "up to 1"),
        (["--labeled=few"], "few"),
        (["--jobs=0"], "1 or more"),
        (["--set=colour=1"], "colour"),
        (["--set=epochs=many"], "JSON"),
        (['--set=epochs="many"'], "epochs"),
        (["--set=time_budget_seconds=9"], "by steps"),
        (["--pack=nowhere"], "nowhere"),
        (["--backbone=ResNet-1"], "ResNet-1"),
        (["--device=tpu"], "tpu"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, capsys, argv, said):
    with pytest.raises(SystemExit) as stop:
        main(["--pack=x", f"--out={tmp_path}", *argv])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_settings_take_the_types_of_the_configuration():
    assignments = ('loss="asymmetric"', "lr=1", "epochs=null", "batch_labeled=4")
    config = dataclasses.replace(TrainingConfig(), **dict(map(change, assignments)))
    assert (config.loss, config.lr, config.epochs) == ("asymmetric", 1, None)
    assert config.batch_labeled == 4
    for wrong in ("batch_labeled=0.5", "batch_labeled=true", "lr=false", 'rounds="3"'):
        with pytest.raises(argparse.ArgumentTypeError, match="cannot be"):
            change(wrong)


def test_a_ledger_goes_on_where_it_was(tmp_path):
    model = torch.nn.Linear(1, 1)
    first = Ledger(tmp_path, model)
    time.sleep(0.02)
    first.note(Stage.WARM_UP)
    first.close()
    second = Ledger(tmp_path, model)
    second.close()
    assert second.seconds_of([Stage.PREPARE]) >= 0.02
    assert second.seconds_of([Stage.PREPARE]) < 10
    assert second.peak_mb >= first.peak_mb > 50

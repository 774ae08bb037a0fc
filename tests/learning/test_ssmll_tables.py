"""Tables over finished runs, from figures whose outcome is known."""

import numpy as np
import pytest

from benchmarks.ssmll.study import write
from benchmarks.ssmll.tables import (
    chance_calibration_error,
    difference,
    grouped,
    markdown,
    write_tables,
)


def run(method, seed, ap, *, share=0.1, **other):
    bins = [[10, 0.2, 0.1], [5, 0.8, 0.9]]
    return {
        "pack": "tiny",
        "share": share,
        "mode": "tune",
        "method": method,
        "seed": seed,
        "backbone": "kizu-small",
        "backbone_version": "abc",
        "tuned": {},
        "map": ap,
        "map_strict": ap,
        "ap": {"rust": ap},
        "cf1": 0.5,
        "of1": 0.5,
        "cf1_mat": 0.6,
        "of1_mat": None,
        "pseudo_labels": {"count": 3, "present": [0.5, 0.25], "absent": [None, 0.75]},
        "ece": {"before": 0.2, "after": 0.02},
        "reliability": {"before": bins, "after": bins},
        "train_seconds": 10.0,
        "peak_memory_mb": 900,
        **other,
    }


RUNS = [
    *(run("kizu", seed, ap) for seed, ap in enumerate((0.70, 0.74, 0.72))),
    *(run("cap", seed, ap) for seed, ap in enumerate((0.69, 0.71, 0.70))),
    *(run("supervised-bce", seed, 0.60, pseudo_labels=None) for seed in range(3)),
    *(run("supervised-asl", seed, 0.55, pseudo_labels=None) for seed in range(3)),
    *(run("upper-bound", seed, 0.84, share=1.0, pseudo_labels=None) for seed in range(3)),
]


def rows(text):
    """Cells of each method's row."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {cells[0]: [cell.strip() for cell in cells] for cells in lines}


def test_a_table_ranks_pairs_and_says_what_was_recovered():
    (group,) = grouped(RUNS)
    found = rows(markdown(group))
    assert list(found)[2:] == ["upper-bound", "kizu", "cap", "supervised-bce", "supervised-asl"]
    assert found["kizu"][1:3] == ["3", "0.720 ± 0.020"]
    # Half of the way from 0.60, the better supervised line, to 0.84.
    assert found["kizu"][-1] == "50%"
    assert found["cap"][-1] == "42%"
    assert found["kizu"][6:8] == ["0.500 / 0.250", "– / 0.750"]
    assert found["supervised-bce"][6] == "–"
    assert found["cap"][8].startswith("0.200 → 0.020 (")
    # Differences 0.01, 0.03, 0.02: mean 0.02, and 4.303 * 0.01 / sqrt(3) to either side.
    assert found["cap"][-2] == "+0.020 ± 0.025"


def test_chance_alone_makes_the_error_that_is_named():
    rng = np.random.default_rng(0)
    count, confidence = np.array([400, 90, 60, 250]), np.array([0.03, 0.3, 0.7, 0.96])
    strays = [
        np.abs(rng.binomial(count, confidence) / count - confidence) @ count / count.sum()
        for _ in range(2000)
    ]
    bins = np.column_stack([count, confidence, confidence])
    assert chance_calibration_error(bins) == pytest.approx(np.mean(strays), rel=0.05)


def test_a_difference_is_taken_on_common_draws_only():
    ours = {0: run("kizu", 0, 0.7), 1: run("kizu", 1, 0.9)}
    assert difference(ours, {0: run("cap", 0, 0.6)}) == "+0.100"
    assert difference(ours, {5: run("cap", 5, 0.6)}) == ""


def test_other_weights_and_modes_have_tables_of_their_own():
    others = [run("kizu", 0, 0.5, backbone_version="def"), run("kizu", 0, 0.4, mode="frozen")]
    assert len(grouped([*RUNS, *others])) == 3
    random = [
        run("kizu", seed, 0.3, backbone="kizu-small-untrained", backbone_version=str(seed))
        for seed in range(2)
    ]
    assert len(grouped(random)) == 1


def test_what_a_search_chose_is_marked():
    (group,) = grouped([run("kizu", 0, 0.7, tuned={"lr": 0.1}), run("cap", 0, 0.6)])
    assert {"kizu †", "cap"} <= set(rows(markdown(group)))


@pytest.mark.parametrize("left_out", [set(), {"kizu"}, {"kizu", "cap", "upper-bound"}])
def test_tables_and_plots_of_whatever_is_there(tmp_path, left_out):
    for number, document in enumerate(RUNS):
        if document["method"] not in left_out:
            write(tmp_path / f"{number}.json", document)
    write(tmp_path / "search-tiny-tune-kizu.json", {"chosen": {}})
    text = write_tables(tmp_path)
    assert (tmp_path / "table.md").read_text() == text + "\n"
    assert (tmp_path / "map-tiny-tune-kizu-small-abc.png").stat().st_size > 1000
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert len(lines) == 1 + sum(document["method"] not in left_out for document in RUNS)
    assert "ece.after" in lines[0]
    assert "reliability" not in lines[0]


def test_without_a_run_there_is_no_table(tmp_path):
    assert "no finished run" in write_tables(tmp_path)

"""`kizu demo`: the main job once, on a whole Kizu of its own, through the public API."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KIZU = str(Path(sys.executable).with_name("kizu"))
FIGURES = {"pack", "images", "labeled", "rounds", "kpis", "seconds", "peak_rss_mb"}
ROUND = {
    "map",
    "ap",
    "pseudo_labels",
    "pseudo_label_precision",
    "pseudo_label_recall",
    "train_seconds",
    "predict_seconds",
}


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {n: v for n, v in os.environ.items() if not n.startswith("KIZU_")}
    return subprocess.run(
        [KIZU, "demo", "--data-dir", str(folder / "data"), *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.timeout(600)
def test_the_main_job_from_photos_to_kpis(tmp_path):
    result = demo(
        tmp_path,
        *("--images", "80", "--labeled", "0.4", "--train-seconds", "6"),
        *("--json", "figures.json", "--report", "report.html"),
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures.keys() >= FIGURES
    assert figures["images"] == 80
    assert figures["times_of_people"] == "simulated"
    assert figures["kpis"]["simulated"] is True
    first, second = figures["rounds"]
    assert first.keys() >= ROUND
    assert set(first["ap"]) == {"scratch", "stain", "pit", "burn", "peeling", "spatter"}
    assert all(0 <= each["map"] <= 1 for each in (first, second))
    report = (tmp_path / "report.html").read_text()
    assert report.count("data:image/jpeg") > 3
    assert "Simulation" in report
    assert "assumed seconds" in result.stdout


def test_bad_options_are_one_line_and_code_2(tmp_path):
    for options in (("--labeled", "1.5"), ("--pack", "nowhere.zip"), ("--accept", "0.5")):
        result = demo(tmp_path, *options)
        assert result.returncode == 2
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr

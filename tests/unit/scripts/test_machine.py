"""What `make` says before it installs, and which tools it finds for tests."""

import os
import platform
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from scripts import preflight, test_tools

REPOSITORY = Path(__file__).resolve().parents[3]
FIND_PYTHON = REPOSITORY / "scripts" / "find-python.sh"
Usage = namedtuple("Usage", "total used free")


class TestFindPython:
    def test_takes_the_one_that_is_named(self):
        result = subprocess.run(
            [FIND_PYTHON],
            env={"PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.strip() == sys.executable

    def test_one_that_does_not_work_is_refused_in_a_sentence(self):
        result = subprocess.run(
            [FIND_PYTHON], env={"PYTHON": "/bin/false"}, capture_output=True, text=True, check=False
        )
        assert result.returncode == 2
        assert "Kizu needs Python 3.11 to 3.14" in result.stderr


class TestPreflight:
    def test_this_machine_passes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**12, 0, 10**12))
        assert list(preflight.problems(tmp_path / ".venv")) == []

    def test_a_small_disk_is_named_with_its_size(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**10, 7 * 10**9, 3 * 10**9))
        (sentence,) = preflight.problems(tmp_path / ".venv")
        assert "3.0 GB are free" in sentence

    def test_a_small_disk_does_not_matter_once_installed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**10, 7 * 10**9, 3 * 10**9))
        (tmp_path / ".venv/lib/python3.11/site-packages/torch").mkdir(parents=True)
        assert list(preflight.problems(tmp_path / ".venv")) == []

    @pytest.mark.parametrize(
        ("asked", "answer"), [("machine", "riscv64"), ("system", "Darwin"), ("system", "Windows")]
    )
    def test_another_machine_is_refused(self, tmp_path, monkeypatch, asked, answer):
        monkeypatch.setattr(platform, asked, lambda: answer)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**12, 0, 10**12))
        (sentence,) = preflight.problems(tmp_path / ".venv")
        assert answer in sentence
        assert "Docker" in sentence


class TestBrowser:
    @pytest.fixture(autouse=True)
    def fresh(self):
        test_tools.find_browser.cache_clear()
        yield
        test_tools.find_browser.cache_clear()

    def browser(self, path: Path, *, starts: bool = True) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\nexit {0 if starts else 127}\n")
        path.chmod(0o755)
        return str(path)

    def test_the_named_one_wins(self, monkeypatch, tmp_path):
        named = self.browser(tmp_path / "opt" / "chromium")
        monkeypatch.setenv("KIZU_CHROMIUM", named)
        assert test_tools.find_browser() == named

    def test_one_that_does_not_start_is_none(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
        for missing in ("opt/chromium", "nowhere/chromium"):
            monkeypatch.setenv("KIZU_CHROMIUM", str(tmp_path / missing))
            self.browser(tmp_path / "opt" / "chromium", starts=False)
            assert test_tools.find_browser() is None
            assert missing in capsys.readouterr().err
            test_tools.find_browser.cache_clear()

    def test_the_next_one_is_taken_where_one_does_not_start(self, monkeypatch, tmp_path):
        monkeypatch.delenv("KIZU_CHROMIUM", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
        for name in test_tools.BROWSERS:
            self.browser(tmp_path / "bin" / name, starts=False)
        chrome = self.browser(tmp_path / "chromium-1200" / "chrome-linux" / "chrome")
        assert test_tools.find_browser() == chrome

    def test_downloaded_ones_are_found_last(self, monkeypatch, tmp_path):
        monkeypatch.delenv("KIZU_CHROMIUM", raising=False)
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
        assert test_tools.find_browser() is None
        chrome = self.browser(tmp_path / "chromium-1200" / "chrome-linux" / "chrome")
        test_tools.find_browser.cache_clear()
        assert test_tools.find_browser() == chrome


def test_bare_make_lists_every_command():
    listing = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for target in ("demo", "up", "test", "test-all", "lint", "types", "bench", "docs", "lock"):
        assert f"make {target} " in listing.stdout

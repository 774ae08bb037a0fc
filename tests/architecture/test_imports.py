"""The house's floor plan: who may import whom."""

import subprocess
import sys
from pathlib import Path


def test_import_rules_hold(repository):
    command = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [command, "--no-logo"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr


def test_the_service_starts_without_the_ml_stack():
    heavy = "{'torch', 'torchvision', 'open_clip', 'worker', 'scipy', 'pyarrow', 'matplotlib'}"
    script = f"import app.main, app.cli, sys; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_learning_and_imaging_start_without_the_service():
    foreign = "{'app', 'sqlalchemy', 'celery', 'fastapi', 'pydantic_settings', 'redis'}"
    script = (
        "import importlib, pkgutil, sys, worker.learning, worker.imaging;"
        "[importlib.import_module(m.name) for package in (worker.learning, worker.imaging)"
        " for m in pkgutil.iter_modules(package.__path__, package.__name__ + '.')"
        " if not m.name.endswith('__main__')];"
        f"print(sorted({foreign} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.strip().splitlines()[-1] == "[]"

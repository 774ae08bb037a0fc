"""What the architecture tests look at: the tracked sources."""

import ast
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ("app/", "worker/", "benchmarks/", "scripts/", "migrations/")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def tracked_files() -> list[Path]:
    """Every file under version control, or every file where the checkout has none."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        return [p for folder in SOURCE_FOLDERS for p in (REPOSITORY / folder).rglob("*.*")]
    return [REPOSITORY / name for name in listing.stdout.split("\0") if name]


@pytest.fixture(scope="session")
def sources(tracked_files: list[Path]) -> dict[str, ast.Module]:
    """Syntax trees of the Python sources (not the tests), by path from the root."""
    return {
        name: ast.parse(path.read_text())
        for path in tracked_files
        if path.exists()
        and path.suffix == ".py"
        and (name := str(path.relative_to(REPOSITORY))).startswith(SOURCE_FOLDERS)
    }

"""Checks this machine before anything is installed; says in plain sentences what lacks.

Runs with the system's Python, so only the standard library is at hand.
"""

import argparse
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

GIGABYTE = 10**9
NEEDED_BYTES = 6 * GIGABYTE
MACHINES = {"x86_64", "aarch64"}


def problems(venv: Path) -> Iterator[str]:
    """Each reason why the installation would fail."""
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        yield (
            f"Kizu runs on Linux with x86-64 or ARM64 processors; this is {platform.system()} on "
            f"{platform.machine()}. On macOS use Docker, on Windows WSL 2 or Docker."
        )
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        yield (
            f"{sys.executable} has no venv module. "
            f"Debian and Ubuntu: apt install python{version}-venv"
        )
    free = shutil.disk_usage(venv.absolute().parent).free
    if not is_installed(venv) and free < NEEDED_BYTES:
        yield (
            f"{free / GIGABYTE:.1f} GB are free at {venv.absolute().parent}; PyTorch and the "
            f"rest take about {NEEDED_BYTES / GIGABYTE:.0f} GB. Free some space first."
        )


def is_installed(venv: Path) -> bool:
    """Whether the large part, PyTorch, is there already."""
    return any(venv.glob("lib/python*/site-packages/torch"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, required=True)
    found = list(problems(parser.parse_args().venv))
    for sentence in found:
        sys.stderr.write(f"{sentence}\n")
    return 2 if found else 0


if __name__ == "__main__":
    sys.exit(main())

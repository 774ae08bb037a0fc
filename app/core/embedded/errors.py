"""What can go wrong while embedded services start, each as one plain sentence."""

from pathlib import Path


class EmbeddedError(RuntimeError):
    """An embedded service cannot run; the message says why and what helps."""


class AlreadyRunning(EmbeddedError):
    """Another process holds the data directory."""

    def __init__(self, data_dir: Path, pid: str) -> None:
        super().__init__(
            f"Kizu is already running on {data_dir} (process {pid or 'unknown'}): "
            "stop it first, or choose another --data-dir."
        )


class ServerDied(EmbeddedError):
    """A server ended while starting; carries the end of its log."""

    def __init__(self, name: str, log_path: Path) -> None:
        super().__init__(f"{name} did not start. The end of {log_path}:\n{_tail(log_path)}")


def _tail(log_path: Path, lines: int = 8) -> str:
    if not log_path.exists():
        return "(no log)"
    return "\n".join(log_path.read_text(errors="replace").splitlines()[-lines:])

"""The embedded Valkey: a broker on a private unix socket that keeps nothing on disk.

Messages are only doorbells for rows in the database, so losing them loses no work.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import redis

from app.core.embedded.binaries import valkey_server
from app.core.embedded.errors import ServerDied
from app.core.embedded.keeper import kept
from app.core.processes import spawn, stop

START_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class ValkeyServer:
    """A Valkey server whose socket lies in `runtime`."""

    runtime: Path
    log_path: Path

    @property
    def socket(self) -> Path:
        return self.runtime / "mq" / "valkey.sock"

    @property
    def url(self) -> str:
        return f"redis+socket://{self.socket}?virtual_host=0"

    @contextmanager
    def running(self) -> Iterator[str]:
        """Run the server; yields its URL in Celery's notation."""
        self.socket.parent.mkdir(mode=0o700)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with kept(self._start, lambda process: stop(process, patience=3)):
            yield self.url

    def _start(self) -> Popen[bytes]:
        with self.log_path.open("ab") as log:
            process = spawn(self._command(), cwd=self.socket.parent, output=log)
        try:
            self._wait_until_ready(process)
        except BaseException:
            stop(process, patience=3)
            raise
        return process

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [str(valkey_server()), *arguments]

    def _wait_until_ready(self, process: Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.02)
                else:
                    return
        raise ServerDied("Valkey", self.log_path)

"""Child processes that never outlive Kizu, and the supervisor that keeps them running.

What belongs here: starting, stopping and restarting operating-system processes. What the
processes do (a database, a broker, the API, a worker) is the caller's business.
"""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# Not structlog: a closed standard output must not become an error of its own.
log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The operating-system account that a child runs as."""

    uid: int
    gid: int


def spawn(
    command: Sequence[str],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    account: Account | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in its own process group that receives `death_signal` when we die.

    Linux ties the death signal to the *thread* that starts the child, so call this from a
    thread that lives as long as the child should. The group of its own keeps the terminal's
    Ctrl-C away from the child: the parent decides the order in which things stop.
    """
    return subprocess.Popen(
        list(command),
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        process_group=0,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        # Runs after the change of account, which would clear the death signal.
        preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509
    )


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def stop(
    process: subprocess.Popen[bytes],
    *,
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL),
    patience: float = 8.0,
) -> int:
    """End one child: send each signal in turn, waiting `patience` seconds after each."""
    return stop_all([process], signals=signals, patience=patience)[0]


def stop_all(
    processes: Sequence[subprocess.Popen[bytes]],
    *,
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL),
    patience: float = 8.0,
) -> list[int]:
    """End children together, with what is left of their groups; returns their exit codes."""
    started = [process for process in processes if process.poll() is None]
    for number in signals:
        running = [process for process in started if process.poll() is None]
        for process in running:
            process.send_signal(number)
        _wait_all(running, deadline=time.monotonic() + patience)
    for process in started:
        end_group(process.pid)
    return [process.wait() for process in processes]


def end_group(group: int) -> None:
    """Kill what is left of a child's group, such as pool children of a killed worker."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def processes_of_group(group: int) -> list[int]:
    """The living processes of a child's group, itself first (Linux; elsewhere only itself)."""
    members = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if entry.name != str(group) and _group_of(int(entry.name)) == group
    ]
    return [group, *members]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _wait_all(processes: Sequence[subprocess.Popen[bytes]], *, deadline: float) -> None:
    for process in processes:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return


FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0


@dataclass
class Supervised:
    """A child that is started again when it ends by itself, after a growing pause."""

    name: str
    command: Sequence[str]
    log_path: Path
    env: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None
    pause_s: float = FIRST_PAUSE_S
    started_at: float = 0.0
    start_again_at: float = 0.0
    crashes: int = 0

    def start(self) -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = spawn(self.command, env=self.env, output=log)
        self.started_at = time.monotonic()

    def look_after(self) -> int | None:
        """Restart the child when its pause is over; returns the exit code of a new crash."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_again_at:
                self.start()
            return None
        code = self.process.poll()
        if code is None:
            return None
        end_group(self.process.pid)
        steady = now - self.started_at > STEADY_AFTER_S
        self.pause_s = FIRST_PAUSE_S if steady else min(self.pause_s * 2, LONGEST_PAUSE_S)
        self.start_again_at = now + self.pause_s
        self.crashes += 1
        self.process = None
        return code


@dataclass
class Supervisor:
    """Keeps a set of children running until told to stop."""

    children: Sequence[Supervised]
    on_crash: Callable[[Supervised, int], None]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _all_ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        for child in self.children:
            child.start()

    def run(self, stop_event: threading.Event, *, interval_s: float = 0.3) -> None:
        """Look after the children until `stop_event` is set and all of them have ended."""
        while not stop_event.wait(interval_s):
            with self._lock:
                for child in self.children:
                    self._look_after(child)
        self._all_ended.wait()

    def _look_after(self, child: Supervised) -> None:
        """No error ends the watch: the machine may have no process or memory left for a moment,
        and the terminal that a crash is told to may be closed."""
        try:
            code = child.look_after()
            if code is not None:
                self.on_crash(child, code)
        except Exception:
            child.start_again_at = time.monotonic() + child.pause_s
            log.exception("%s cannot be looked after", child.name)

    def stop(self, *, patience: float = 7.0) -> None:
        """End all children. `run` returns after that: its thread's end would signal those that
        it started."""
        with self._lock:
            try:
                stop_all([c.process for c in self.children if c.process], patience=patience)
            finally:
                self._all_ended.set()

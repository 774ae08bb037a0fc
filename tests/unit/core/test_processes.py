"""Children of ours: restarted when they crash, gone when told to go, whatever they ignore."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from app.core.processes import Supervised, Supervisor, processes_of_group, spawn, stop

STUBBORN_PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
time.sleep(600)
"""


def eventually(condition, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(") ", 1)[1][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class TestStop:
    def test_a_child_that_ignores_sigterm_goes_with_its_own_children(self, tmp_path):
        log = tmp_path / "log"
        with log.open("wb") as output:
            child = spawn([sys.executable, "-c", STUBBORN_PARENT], output=output)
        assert eventually(lambda: log.read_bytes() == b"ready\n")
        members = processes_of_group(child.pid)
        assert len(members) == 2
        assert stop(child, patience=0.3) == -signal.SIGKILL
        assert all(eventually(lambda pid=pid: is_gone(pid)) for pid in members)

    def test_a_polite_child_is_asked_once(self):
        child = spawn([sys.executable, "-c", "import time; time.sleep(600)"])
        assert stop(child) == -signal.SIGTERM

    def test_a_child_that_ended_before_keeps_its_exit_code(self):
        child = spawn([sys.executable, "-c", "raise SystemExit(3)"])
        child.wait()
        assert stop(child) == 3


def test_terminal_signals_reach_only_the_parent():
    child = spawn([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    finally:
        stop(child)


def test_children_die_when_their_parent_is_killed():
    script = (
        "import sys, time; from app.core.processes import spawn;"
        "print(spawn([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True);"
        "time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        parent.kill()
    assert eventually(lambda: is_gone(grandchild))


class TestSupervisor:
    def test_a_crashed_child_is_started_again_after_a_growing_pause(self, tmp_path):
        runs = tmp_path / "runs"
        script = f"open({str(runs)!r}, 'a').write('x'); raise SystemExit(7)"
        child = Supervised("crashing", [sys.executable, "-c", script], tmp_path / "log")
        crashes: list[tuple[str, int, float]] = []
        supervisor = Supervisor(
            [child], on_crash=lambda c, code: crashes.append((c.name, code, c.pause_s))
        )
        stop_event = threading.Event()
        supervisor.start()
        watch = threading.Thread(target=supervisor.run, args=(stop_event,))
        watch.start()
        assert eventually(lambda: len(crashes) >= 2)
        stop_event.set()
        supervisor.stop()
        watch.join(timeout=5)
        assert crashes[:2] == [("crashing", 7, 2.0), ("crashing", 7, 4.0)]
        assert len(runs.read_text()) >= 2
        assert not watch.is_alive()

    def test_errors_do_not_end_the_watch(self, tmp_path):
        """The program is gone for a while, and nobody reads what is told about crashes."""
        runs, program = tmp_path / "runs", tmp_path / "program"

        def write_program() -> None:
            program.write_text(f"#!/bin/sh\nprintf x >> {runs}\n")
            program.chmod(0o755)

        def tell(_child: Supervised, _code: int) -> None:
            told.set()
            raise BrokenPipeError

        told, stop_event = threading.Event(), threading.Event()
        write_program()
        child = Supervised("flaky", [str(program)], tmp_path / "log", pause_s=0.1)
        supervisor = Supervisor([child], on_crash=tell)
        supervisor.start()
        assert eventually(lambda: runs.exists())
        program.unlink()
        watch = threading.Thread(target=supervisor.run, args=(stop_event,))
        watch.start()
        assert told.wait(10)
        time.sleep(1)
        write_program()
        assert eventually(lambda: len(runs.read_text()) >= 2)
        stop_event.set()
        supervisor.stop()
        watch.join(timeout=5)
        assert not watch.is_alive()

    def test_stop_ends_every_child(self, tmp_path):
        sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
        children = [Supervised(str(n), sleeper, tmp_path / f"{n}.log") for n in range(3)]
        supervisor = Supervisor(children, on_crash=lambda _child, _code: None)
        supervisor.start()
        pids = [child.process.pid for child in children if child.process]
        supervisor.stop()
        assert len(pids) == 3
        assert all(is_gone(pid) for pid in pids)

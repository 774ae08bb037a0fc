"""`kizu` as people use it: as a process of its own, with exit codes and one-line errors."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from app.stack import free_port

KIZU = str(Path(sys.executable).with_name("kizu"))


def kizu(*arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KIZU, *arguments], capture_output=True, text=True, check=check, timeout=90, **options
    )


def without_servers() -> dict[str, str]:
    """Our environment, with nothing said about servers."""
    return {n: v for n, v in os.environ.items() if not n.startswith("KIZU_")}


class TestPeople:
    def test_added_people_are_listed_with_their_role(self, settings):
        kizu("user", "add", "hana@example.com", "--role", "engineer", "--password", "long enough 1")
        listing = kizu("user", "list").stdout
        assert re.search(r"engineer\s+hana@example.com", listing)

    def test_the_same_address_twice_is_one_line_and_code_2(self, settings):
        arguments = ("user", "add", "hana@example.com", "--password", "long enough 1")
        kizu(*arguments)
        result = kizu(*arguments, check=False)
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1
        assert "hana@example.com" in result.stderr

    def test_a_token_opens_the_api(self, settings, anonymous):
        kizu("user", "add", "hana@example.com", "--role", "admin", "--password", "long enough 1")
        token = kizu("token", "create", "hana@example.com", "--name", "line 3").stdout.strip()
        assert anonymous.get("/api/v1/projects").status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert anonymous.get("/api/v1/projects", headers=headers).status_code == 200

    def test_a_token_of_nobody_is_one_line_and_code_2(self, settings):
        result = kizu("token", "create", "nobody@example.com", check=False)
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1

    def test_a_sign_in_link_works_once(self, settings, anonymous):
        link = kizu("user", "link").stdout.split()[-1]
        path = "/" + link.split("/", 3)[3]
        assert anonymous.get(path, follow_redirects=False).status_code in {200, 302, 303}


class TestServers:
    def test_database_that_does_not_answer(self, monkeypatch, tmp_path):
        monkeypatch.setenv("KIZU_DATABASE_URL", "postgresql://kizu@127.0.0.1:1/kizu")
        monkeypatch.setenv("KIZU_BROKER_URL", "redis://127.0.0.1:1/0")
        monkeypatch.chdir(tmp_path)
        result = kizu("serve", check=False)
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1
        assert "database cannot be reached" in result.stderr

    def test_old_schema_names_the_remedy(self, settings, empty_database_url, monkeypatch):
        monkeypatch.setenv("KIZU_DATABASE_URL", empty_database_url)
        result = kizu("serve", check=False)
        assert result.returncode == 2
        assert "kizu migrate" in result.stderr

    def test_joining_servers_that_nobody_runs(self, tmp_path):
        result = kizu(
            "worker", "--queue", "cpu", "--data-dir", str(tmp_path), check=False,
            env=without_servers(), cwd=tmp_path,
        )  # fmt: skip
        assert result.returncode == 2
        assert "no `kizu up` runs" in result.stderr

    def test_doctor_finds_what_lacks(self, settings):
        result = kizu("doctor", check=False)
        assert result.returncode == 1
        assert "ok       Database: Reachable" in result.stdout
        assert "ok       Broker: Reachable." in result.stdout
        assert "PROBLEM  Workers: None serves cpu, infer, train." in result.stdout

    def test_unknown_queue_is_a_usage_error(self):
        result = kizu("worker", "--queue", "gpu", check=False)
        assert result.returncode == 2


class TestUp:
    """The whole stack, started once; each step builds on the one before."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "data"

    def start(self, folder: Path, port: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [KIZU, "up", "--data-dir", str(folder), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=without_servers(),
        )

    def test_from_start_to_stop(self, folder):
        port = free_port()
        process = self.start(folder, port)
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(3)]
            assert f"http://127.0.0.1:{port}" in lines[0], [*lines, process.stdout.read()]
            assert "Sign in once" in lines[1]
            self.second_start_is_refused(folder)
            self.commands_join_the_running_services(folder)
            self.crashed_api_comes_back(folder, port)
            members = descendants(process.pid)
            assert len(members) > 6
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
            assert [pid for pid in members if is_running(pid)] == []
        finally:
            process.stdout.close()
            process.kill()
            process.wait()

    def second_start_is_refused(self, folder):
        result = kizu(
            "up", "--data-dir", str(folder), "--port", str(free_port()), check=False,
            env=without_servers(),
        )  # fmt: skip
        assert result.returncode == 2
        assert "already running" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def commands_join_the_running_services(self, folder):
        listing = kizu("user", "list", "--data-dir", str(folder), env=without_servers()).stdout
        assert "admin" in listing

    def crashed_api_comes_back(self, folder, port):
        api = [pid for pid in descendants(os.getpid()) if "uvicorn" in command_line(pid)]
        assert len(api) == 1
        os.kill(api[0], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while not answers(port) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert answers(port)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def descendants(pid: int) -> list[int]:
    """Every living process below `pid`, by walking /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            parents[int(entry.name)] = int(fields[1])
    found, frontier = [], [pid]
    while frontier:
        above = frontier.pop()
        below = [child for child, parent in parents.items() if parent == above]
        found += below
        frontier += below
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

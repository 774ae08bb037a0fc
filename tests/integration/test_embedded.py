"""The embedded servers: private, alone on their data, and gone when their parent is gone."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import text

from app.core.db import make_engine
from app.core.embedded import AlreadyRunning, embedded_services, redis_url
from app.core.embedded.postgres import end_orphan

HOLD = """
import sys, time
from pathlib import Path
from app.core.embedded import embedded_services
with embedded_services(Path(sys.argv[1]), durable=False):
    print("ready", flush=True)
    time.sleep(600)
"""


def hold(data_dir: Path) -> subprocess.Popen[str]:
    """A process of its own that keeps the services running until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == "ready\n"
    return process


def is_running(pid: int) -> bool:
    """Whether the process still works; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def await_end(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(pid)


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


def count_rows(url: str) -> int:
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS kept (at timestamptz)"))
        connection.execute(text("INSERT INTO kept VALUES (now())"))
        rows = connection.execute(text("SELECT count(*) FROM kept")).scalar_one()
    engine.dispose()
    return int(rows)


def test_data_outlives_a_restart_and_vectors_are_there(tmp_path):
    for expected in (1, 2):
        with embedded_services(tmp_path / "data", durable=False) as services:
            assert count_rows(services.database_url) == expected
            engine = make_engine(services.database_url)
            with engine.begin() as connection:
                connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
                distance = connection.execute(text("SELECT '[1,2]'::vector <-> '[1,4]'"))
                assert distance.scalar_one() == 2.0
            engine.dispose()
            with redis.Redis.from_url(redis_url(services.broker_url)) as broker:
                assert broker.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_nothing_is_left_after_the_block(tmp_path):
    with embedded_services(tmp_path / "data", durable=False):
        server, runtime = postmaster(tmp_path / "data"), (tmp_path / "data" / "runtime").readlink()
        assert is_running(server)
    assert not is_running(server)
    assert not runtime.exists()


def test_second_run_on_the_same_folder_says_so(tmp_path):
    with (
        embedded_services(tmp_path / "data", durable=False),
        pytest.raises(AlreadyRunning, match=rf"already running on .* \(process {os.getpid()}\)"),
        embedded_services(tmp_path / "data", durable=False),
    ):
        pass


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_servers_die_with_their_parent(tmp_path, ending):
    parent = hold(tmp_path / "data")
    server = postmaster(tmp_path / "data")
    parent.send_signal(ending)
    parent.wait()
    assert await_end(server)
    with embedded_services(tmp_path / "data", durable=False) as services:
        assert count_rows(services.database_url) == 1


def test_starts_after_everything_was_killed(tmp_path):
    parent = hold(tmp_path / "data")
    os.kill(postmaster(tmp_path / "data"), signal.SIGKILL)
    parent.kill()
    parent.wait()
    with embedded_services(tmp_path / "data", durable=False) as services:
        assert count_rows(services.database_url) == 1


def test_record_of_a_dead_server_is_forgotten_though_its_number_was_reused(tmp_path):
    record = tmp_path / "postmaster.pid"
    record.write_text(f"{os.getpid()}\n{tmp_path}\n")
    end_orphan(tmp_path)
    assert not record.exists()


@pytest.mark.parametrize("content", ["", "half a rec", "\n\n"])
def test_a_record_that_cannot_be_read_is_forgotten(tmp_path, content):
    record = tmp_path / "postmaster.pid"
    record.write_text(content)
    end_orphan(tmp_path)
    assert not record.exists()


END_ORPHAN_AS_NOBODY = """
import os, sys
from pathlib import Path
from app.core.embedded.postgres import end_orphan
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
end_orphan(Path())
"""


def test_a_number_that_another_account_uses_now_is_no_server(tmp_path):
    record = tmp_path / "postmaster.pid"
    record.write_text(f"1\n{tmp_path}\n")
    tmp_path.chmod(0o777)
    subprocess.run([sys.executable, "-c", END_ORPHAN_AS_NOBODY, str(tmp_path)], check=True)
    assert not record.exists()


def called_postgres(folder: Path, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A process in `folder` that bears the server's name; its number is recorded there."""
    copy = folder / "postgres"
    shutil.copy(shutil.which(program) or program, copy)
    process = subprocess.Popen([copy, *arguments], cwd=folder)
    (folder / "postmaster.pid").write_text(f"{process.pid}\n")
    return process


def test_a_server_that_only_waits_to_be_reaped_is_forgotten(tmp_path):
    ended = called_postgres(tmp_path, "true")
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    end_orphan(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()
    ended.wait()


def test_an_orphan_may_end_in_the_moment_it_is_told_to(tmp_path, monkeypatch):
    orphan, kill = called_postgres(tmp_path, "sleep", "600"), os.kill

    def too_late(pid: int, number: int) -> None:
        kill(pid, signal.SIGKILL)
        orphan.wait()
        kill(pid, number)

    with monkeypatch.context() as patch:
        patch.setattr("app.core.embedded.postgres.os.kill", too_late)
        end_orphan(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


def test_half_made_cluster_is_made_anew(tmp_path):
    draft = tmp_path / "data" / "postgres.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18")
    with embedded_services(tmp_path / "data", durable=False) as services:
        assert count_rows(services.database_url) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another account")
def test_under_root_the_server_is_unprivileged_and_closed_to_others(tmp_path):
    private = tmp_path / "closed"
    private.mkdir(mode=0o700)
    with embedded_services(private / "data", durable=False) as services:
        server = postmaster(private / "data")
        assert Path(f"/proc/{server}").stat().st_uid != 0
        assert private.stat().st_mode & 0o777 == 0o700
        attempt = subprocess.run(
            [sys.executable, "-c", _connect_as_nobody(services.database_url)], check=False
        )
        assert attempt.returncode == 0


def _connect_as_nobody(database_url: str) -> str:
    """A script that ends well only when a stranger is turned away."""
    plain = database_url.replace("postgresql+psycopg", "postgresql")
    return f"""
import os, psycopg
os.setgid(65534); os.setuid(65534)
try:
    psycopg.connect({plain!r})
except psycopg.OperationalError:
    raise SystemExit(0)
raise SystemExit(1)
"""


def test_role_needs_the_right_account(tmp_path):
    with embedded_services(tmp_path / "data", durable=False) as services:
        other = services.database_url.replace("postgresql+psycopg://kizu@", "postgresql://other@")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(other)

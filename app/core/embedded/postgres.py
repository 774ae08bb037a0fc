"""The embedded PostgreSQL: our own child process, reached over a private unix socket.

Who may connect is decided by the kernel (peer authentication): the account that runs Kizu,
nobody else, and no password exists. PostgreSQL refuses to run as root; there it runs as an
unprivileged account on a folder of its own. That account may not be allowed to pass the folders
above (a home directory), whose permissions are not ours to change. So the server is started
*inside* its folder and knows it only as /proc/self/cwd, and its binaries are copied to where it can
read them.
"""

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from app.core.embedded.binaries import postgres_install
from app.core.embedded.errors import EmbeddedError, ServerDied
from app.core.embedded.keeper import kept
from app.core.processes import Account, spawn, stop

START_TIMEOUT_S = 60.0
DATABASE = ROLE = "kizu"
SERVICE_ACCOUNTS = ("postgres", "nobody")

# Fast shutdown (roll back and close) first; immediate shutdown (recover at the next start) after.
STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "120",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}
FAST_BUT_FORGETFUL: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


def server_account() -> Account | None:
    """The account for PostgreSQL: our own (None), or an unprivileged one when we are root."""
    if os.geteuid() != 0:
        return None
    for name in SERVICE_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and this machine has neither an account `postgres` "
        "nor `nobody`: run Kizu as an ordinary user."
    )


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server on the data in `folder`, with its socket under `runtime`."""

    folder: Path
    runtime: Path
    durable: bool

    @property
    def socket_folder(self) -> Path:
        return self.runtime / "pg"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{ROLE}@/{DATABASE}?host={self.socket_folder}&port=5432"

    @property
    def log_path(self) -> Path:
        return self.folder.parent / "logs" / "postgres.log"

    @contextmanager
    def running(self) -> Iterator[str]:
        """Run the server, creating its data on first use; yields the SQLAlchemy URL."""
        account = server_account()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        _make_private(self.socket_folder, account)
        install = _readable_install(self.runtime, account)
        if not self.folder.exists():
            self._initialise(install, account)
        _require_same_major(install, self.folder)

        def start() -> subprocess.Popen[bytes]:
            end_orphan(self.folder)
            process = self._start(install, account)
            try:
                self._wait_until_ready(process)
            except BaseException:
                end(process)
                raise
            return process

        def end(process: subprocess.Popen[bytes]) -> None:
            stop(process, signals=STOP_SIGNALS, patience=5)

        with kept(start, end):
            yield self.url

    def _initialise(self, install: Path, account: Account | None) -> None:
        """Create the cluster beside its final place, so that a killed start leaves no half."""
        draft = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        _make_private(draft, account)
        command = [
            *(str(install / "bin" / "initdb"), "-D", _seen_from_inside(draft, account)),
            *("--username", ROLE, "--auth-local=peer", "--auth-host=reject"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin"),
            *("--builtin-locale=C.UTF-8", "--no-instructions"),
            *(() if self.durable else ("--no-sync",)),
        ]
        with self.log_path.open("ab") as log:
            process = spawn(command, account=account, cwd=draft, env=_environment(), output=log)
        if process.wait() != 0:
            raise ServerDied("PostgreSQL's initdb", self.log_path)
        _allow_only_ourselves(draft)
        draft.rename(self.folder)

    def _start(self, install: Path, account: Account | None) -> subprocess.Popen[bytes]:
        settings = {
            **SETTINGS,
            **({} if self.durable else FAST_BUT_FORGETFUL),
            "unix_socket_directories": str(self.socket_folder),
        }
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        inside = _seen_from_inside(self.folder, account)
        command = [str(install / "bin" / "postgres"), "-D", inside, *options]
        with self.log_path.open("ab") as log:
            return spawn(
                command,
                death_signal=signal.SIGINT,
                account=account,
                cwd=self.folder,
                env=_environment(),
                output=log,
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self._ensure_database()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise ServerDied("PostgreSQL", self.log_path)

    def _ensure_database(self) -> None:
        with psycopg.connect(
            host=str(self.socket_folder), port=5432, user=ROLE, dbname="postgres", autocommit=True
        ) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [DATABASE]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")


def end_orphan(folder: Path) -> None:
    """End a server that a killed run left on `folder`, and forget the record of a dead one.

    Only called by the holder of the data directory's lock, so whatever runs is an orphan.
    """
    record = folder / "postmaster.pid"
    if not record.exists():
        return
    first_line = record.read_text(errors="replace").split("\n", 1)[0].strip()
    pid = int(first_line) if first_line.isdecimal() else None  # a crash can leave half a record
    for number in STOP_SIGNALS:
        if pid is None or not _serves(pid, folder):
            record.unlink(missing_ok=True)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        _wait_for_end(pid, folder, seconds=10)


def _serves(pid: int, folder: Path) -> bool:
    """Whether process `pid` is a PostgreSQL server on `folder`, and not a namesake number.

    What another account runs cannot be looked into, and is not ours.
    """
    process = Path(f"/proc/{pid}")
    try:
        name, fields = (process / "stat").read_text().split(" (", 1)[1].rsplit(") ", 1)
        is_ours = (process / "cwd").samefile(folder)
    except (OSError, ValueError):
        return False
    return name == "postgres" and fields[0] != "Z" and is_ours


def _wait_for_end(pid: int, folder: Path, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _serves(pid, folder) and time.monotonic() < deadline:
        time.sleep(0.05)


def _make_private(folder: Path, account: Account | None) -> None:
    folder.mkdir(mode=0o700)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def _seen_from_inside(folder: Path, account: Account | None) -> str:
    return str(folder) if account is None else "/proc/self/cwd"


def _allow_only_ourselves(folder: Path) -> None:
    """Let the account that runs Kizu, as attested by the kernel, in as the database's owner."""
    name = pwd.getpwuid(os.geteuid()).pw_name
    _rewrite(folder / "pg_hba.conf", f"local all {ROLE} peer map={ROLE}\n")
    _rewrite(folder / "pg_ident.conf", f'{ROLE} "{name}" {ROLE}\n')


def _rewrite(path: Path, text: str) -> None:
    """Replace the content and keep the owner, which may be another account than ours."""
    with path.open("r+") as file:
        file.truncate()
        file.write(text)


def _environment() -> dict[str, str]:
    """Ours without PG* variables, which would redirect the server; with a plain locale."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _require_same_major(install: Path, folder: Path) -> None:
    ours = (folder / "PG_VERSION").read_text().strip()
    answer = subprocess.run(
        [install / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    installed = answer.stdout.split()[-1].split(".")[0]
    if ours != installed:
        raise EmbeddedError(
            f"The data in {folder} belongs to PostgreSQL {ours}, but {installed} is installed: "
            "export it with the Kizu that wrote it, then import it into a new data directory."
        )


def _readable_install(runtime: Path, account: Account | None) -> Path:
    """Where `account` can execute the binaries: in place, or else in a copy under `runtime`."""
    install = postgres_install()
    if account is None or _open_to_all(install / "bin" / "postgres"):
        return install
    package = install.parent
    copy = runtime / "software"
    shutil.copytree(install, copy / package.name / install.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    return copy / package.name / install.name


def _open_to_all(path: Path) -> bool:
    folders = [folder.stat().st_mode & stat.S_IXOTH for folder in path.parents]
    return all(folders) and bool(path.stat().st_mode & stat.S_IXOTH)

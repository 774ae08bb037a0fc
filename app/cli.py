"""`kizu`: everything that is done from a terminal. Thin: each command calls a service.

Expected failures end as one line on stderr and exit code 2.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.commands import WorkerQueue, api_command, beat_command, worker_command
from app.core import migrate
from app.core.config import Settings, get_settings
from app.core.db import make_engine, make_sessions, transaction
from app.core.embedded import EmbeddedError, running_services
from app.core.errors import KizuError, Unavailable
from app.core.processes import Supervised
from app.doctor import api_answers, examine, queues_served
from app.exchange import commands as exchange
from app.exchange.detection import Format, ImportFormat
from app.exchange.exporting import OnProgress
from app.exchange.schemas import ExportIn, ImportOptions
from app.identity import service as identity
from app.identity.models import Role
from app.identity.permissions import Permission
from app.images.models import Split
from app.stack import Stack, as_environment, connected, local_url, running_stack

application = typer.Typer(
    help="Label the defects in factory photos with little human time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
users = typer.Typer(help="People who may sign in.", no_args_is_help=True)
tokens = typer.Typer(help="Tokens for programs that call the API.", no_args_is_help=True)
application.add_typer(users, name="user")
application.add_typer(tokens, name="token")

DataDir = Annotated[
    Path | None, typer.Option(help="Folder of everything Kizu writes [KIZU_DATA_DIR].")
]
console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    try:
        application()
    except KizuError as error:
        fail(error.detail)
    except EmbeddedError as error:
        fail(str(error))
    except OperationalError as error:
        fail(f"The database cannot be reached: {str(error.orig).strip().splitlines()[0]}")


def fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise SystemExit(2)


@contextmanager
def orderly_stop() -> Iterator[None]:
    """Let SIGTERM unwind the program as Ctrl-C does; further signals cannot disturb that."""

    def unwind(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {n: signal.signal(n, unwind) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@application.command()
def up(
    *,
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [KIZU_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [KIZU_PORT].")] = None,
) -> None:
    """Run Kizu: database, broker, API, workers. Ctrl-C stops everything."""
    settings = chosen_settings(data_dir=data_dir, host=host, port=port)
    try:
        with orderly_stop(), running_stack(settings, on_crash=report_crash) as stack:
            announce(stack)
            signal.pause()
    except KeyboardInterrupt:
        console.print("Kizu has stopped.")


def announce(stack: Stack) -> None:
    console.print(f"Kizu runs at {stack.url}")
    console.print(f"Sign in once with this link: {sign_in_link(stack.settings)}")
    console.print(f"Data and logs: {stack.settings.data_dir}. Ctrl-C stops Kizu.")


def sign_in_link(settings: Settings) -> str:
    with session_on(settings) as session:
        token = identity.create_sign_in_link(session)
    return f"{settings.public_url or local_url(settings)}/sign-in/{token}"


def report_crash(child: Supervised, code: int) -> None:
    console.print(
        f"{child.name} ended with code {code}; starting it again in {child.pause_s:.0f} s. "
        f"Log: {child.log_path}"
    )


@application.command()
def serve(data_dir: DataDir = None) -> None:
    """Run the API alone, on servers that are set or already running."""
    settings = settings_of_running_services(data_dir)
    assert settings.database_url is not None
    engine = make_engine(settings.database_url)
    migrate.ensure_at_head(engine)
    engine.dispose()
    become(api_command(settings), settings)


@application.command()
def worker(
    queue: Annotated[WorkerQueue, typer.Option(help="What this worker does.")],
    data_dir: DataDir = None,
) -> None:
    """Run one worker: `cpu` (ingest, export), `infer` (predict) or `train`."""
    settings = settings_of_running_services(data_dir)
    become(worker_command(queue, log_level=settings.log_level), settings)


@application.command()
def beat(data_dir: DataDir = None) -> None:
    """Run the clock that finds lost work. One per installation; two do no harm."""
    settings = settings_of_running_services(data_dir)
    become(beat_command(settings), settings)


@application.command("migrate")
def migrate_schema(data_dir: DataDir = None) -> None:
    """Bring the database's schema to this version of Kizu."""
    with connected(chosen_settings(data_dir=data_dir)) as settings:
        assert settings.database_url is not None
        migrate.upgrade(settings.database_url)
    console.print(f"The schema is at {migrate.head()}.")


@application.command()
def doctor(data_dir: DataDir = None) -> None:
    """Check this installation and say what lacks; exit code 1 when something does."""
    with connected(chosen_settings(data_dir=data_dir)) as settings:
        findings = list(examine(settings))
    for finding in findings:
        mark = "ok     " if finding.ok else "PROBLEM"
        console.print(f"{mark}  {finding.subject}: {finding.sentence}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


class Part(StrEnum):
    """What can be asked whether it lives: the API here, any worker of a queue, or any beat."""

    API = "api"
    CPU = "cpu"
    INFER = "infer"
    TRAIN = "train"
    BEAT = "beat"


@application.command()
def healthy(part: Part, data_dir: DataDir = None) -> None:
    """Exit with 0 when PART lives, else with 1. Containers are watched with it."""
    if part is Part.API:
        lives = api_answers(chosen_settings(data_dir=data_dir))
    else:
        lives = part in queues_served(settings_of_running_services(data_dir))
    raise typer.Exit(0 if lives else 1)


@users.command("add")
def add_user(
    email: str,
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.REVIEWER,
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            help="At least 10 characters; asked for when not given.",
        ),
    ] = "",
    data_dir: DataDir = None,
) -> None:
    """Add a person. The password is asked for unless given."""
    with connected(chosen_settings(data_dir=data_dir)) as settings, session_on(settings) as session:
        user = identity.create_user(session, email=email, role=role, password=password)
        console.print(f"Added {user.email} as {user.role}.")


@users.command("list")
def list_users(data_dir: DataDir = None) -> None:
    """List the people and their roles."""
    with connected(chosen_settings(data_dir=data_dir)) as settings, session_on(settings) as session:
        for user in identity.list_users(session):
            state = " (disabled)" if user.disabled_at else ""
            console.print(f"{user.role:<9} {user.email}{state}")


@users.command("link")
def print_sign_in_link(data_dir: DataDir = None) -> None:
    """Print a link that signs its first user in as administrator."""
    with connected(chosen_settings(data_dir=data_dir)) as settings:
        typer.echo(sign_in_link(settings))


@tokens.command("create")
def create_token(
    email: str,
    name: Annotated[str, typer.Option(help="What the token is for.")] = "command line",
    scope: Annotated[
        list[Permission] | None, typer.Option(help="Narrow what it may do; repeatable.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a new API token of the person EMAIL. It is shown once."""
    with connected(chosen_settings(data_dir=data_dir)) as settings, session_on(settings) as session:
        _, token = identity.create_token(session, email=email, name=name, scopes=scope)
        typer.echo(token)


@application.command("import")
def import_data_set(
    path: Path,
    *,
    project: Annotated[str, typer.Option(help="Short name of the project.")],
    chosen: Annotated[
        ImportFormat, typer.Option("--format", help="Of the labels; `auto`: by the content.")
    ] = ImportFormat.AUTO,
    create_labels: Annotated[bool, typer.Option(help="Add labels that the project lacks.")] = False,
    unlisted_absent: Annotated[
        bool | None, typer.Option(help="Whether labels that a row does not name are absent.")
    ] = None,
    split: Annotated[
        Split | None, typer.Option(help="Of photos whose split the file does not say.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Take photos and labels from PATH, a zip, a folder, a CSV or a JSON file.

    Exit code 1 when some of it was not taken in; the last lines say what and why.
    """
    options = ImportOptions(
        format=chosen,
        create_labels=create_labels,
        unlisted_absent=unlisted_absent,
        default_split=split,
    )
    with connected(chosen_settings(data_dir=data_dir)) as settings, progress_bar() as tell:
        report = exchange.import_path(settings, path, project, options, tell)
    for line in report.lines():
        console.print(line, markup=False)
    raise typer.Exit(0 if report.is_clean else 1)


@application.command("export")
def export_data_set(
    project: str,
    *,
    chosen: Annotated[Format, typer.Option("--format", help="Of the labels.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv, .json or .zip.")],
    images: Annotated[bool, typer.Option(help="Also the photos, in a zip.")] = False,
    split: Annotated[Split | None, typer.Option(help="Only this split.")] = None,
    pseudo_labels: Annotated[
        bool, typer.Option(help="Also what models say, marked as such.")
    ] = False,
    only_complete: Annotated[
        bool, typer.Option(help="Only photos of which people decided every label.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Write the photos and labels of PROJECT to a file that other tools read."""
    wanted = ExportIn(
        format=chosen,
        split=split,
        include_images=images,
        include_pseudo_labels=pseudo_labels,
        only_complete=only_complete,
    )
    with connected(chosen_settings(data_dir=data_dir)) as settings, progress_bar() as tell:
        written = exchange.export_project(settings, project, wanted, out, tell)
    console.print(f"Wrote {written.images} photos to {out}.", markup=False)
    if written.missing_photos:
        console.print(f"The bytes of {written.missing_photos} photos are lost; see `kizu doctor`.")
        raise typer.Exit(1)


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """A bar on a terminal; elsewhere only its end is printed."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda share, stage: bar.update(task, completed=share, description=stage)


@application.command("demo")
def run_demo(  # noqa: PLR0913 - an argument is an option of the command
    *,
    pack: Annotated[Path | None, typer.Option(help="Zip or folder: images/, labels.csv.")] = None,
    labeled: Annotated[float, typer.Option(help="Share that the inspector labels first.")] = 0.05,
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file.")] = None,
    report: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("demo-report.html"),
    data_dir: Annotated[Path, typer.Option(help="Folder of the demo.")] = Path("demo-data"),
    seed: Annotated[int, typer.Option(help="Seed of photos and chance.")] = 0,
    images: Annotated[int, typer.Option(help="Photos to render when no pack is given.")] = 800,
    train_seconds: Annotated[
        float | None,
        typer.Option(help="Time for each training; with a pack it takes what it needs.", min=1),
    ] = None,
    accept: Annotated[
        float | None,
        typer.Option(
            help="In the end, accept confident answers by themselves, at most this share wrong "
            "(0.05). It takes 2,000 photos for training or more."
        ),
    ] = None,
) -> None:
    """Run the main job once, end to end, and print what it achieved."""
    from app.demo.command import DemoOptions, demo

    options = DemoOptions(
        pack=pack,
        labeled=labeled,
        json_path=json,
        report=report,
        data_dir=data_dir,
        seed=seed,
        images=images,
        train_seconds=train_seconds,
        allowed_error=accept,
    )
    try:
        with orderly_stop():
            demo(options)
    except KeyboardInterrupt:
        console.print("The demo was stopped before its end.")
        raise typer.Exit(130) from None


def chosen_settings(
    *, data_dir: Path | None, host: str | None = None, port: int | None = None
) -> Settings:
    """The settings of the environment, with what this command line says instead."""
    options = {"data_dir": data_dir, "host": host, "port": port}
    chosen = {name: value for name, value in options.items() if value is not None}
    return get_settings().model_copy(update=chosen)


def settings_of_running_services(data_dir: Path | None) -> Settings:
    """Settings for a process that joins servers and must not start any of its own."""
    settings = chosen_settings(data_dir=data_dir)
    if settings.database_url and settings.broker_url:
        return settings
    running = running_services(settings.data_dir)
    if running is None:
        raise Unavailable(
            "KIZU_DATABASE_URL and KIZU_BROKER_URL are not set, and no `kizu up` runs on "
            f"{settings.data_dir}."
        )
    urls = {"database_url": running.database_url, "broker_url": running.broker_url}
    return settings.model_copy(update=urls)


@contextmanager
def session_on(settings: Settings) -> Iterator[Session]:
    """One transaction on a database whose schema is current."""
    assert settings.database_url is not None
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        migrate.ensure_at_head(engine)
        with transaction(make_sessions(engine)) as session:
            yield session
    finally:
        engine.dispose()


def become(command: Sequence[str], settings: Settings) -> NoReturn:
    """Turn into another program, so that signals and exit codes are its own."""
    os.environ.update(as_environment(settings))
    sys.stdout.flush()
    os.execv(command[0], list(command))  # noqa: S606


if __name__ == "__main__":
    main()

"""`kizu import` and `kizu export`: the work of the jobs, done by the terminal's own process."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from app.core import migrate
from app.core.config import Settings
from app.core.db import make_engine, make_sessions, transaction
from app.core.storage import make_store
from app.exchange import service
from app.exchange.exporting import OnProgress, Source, Written
from app.exchange.importing import Site
from app.exchange.schemas import ExportIn, ImportOptions, ImportReport
from app.projects import service as projects


@contextmanager
def _sessions_on(settings: Settings) -> Iterator[sessionmaker[Session]]:
    assert settings.database_url is not None
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        migrate.ensure_at_head(engine)
        yield make_sessions(engine)
    finally:
        engine.dispose()


def import_path(
    settings: Settings, path: Path, slug: str, options: ImportOptions, on_progress: OnProgress
) -> ImportReport:
    """Take a file or folder of this machine into a project; stopped, it can be started again."""
    with _sessions_on(settings) as sessions, tempfile.TemporaryDirectory() as workdir:
        with transaction(sessions) as session:
            project = projects.get_project(session, slug)
        site = Site(
            project_id=project.id,
            author_id=None,
            transact=lambda: transaction(sessions),
            store=make_store(settings),
            max_pixels=settings.image_max_pixels,
            workdir=Path(workdir),
            on_progress=on_progress,
        )
        return service.run_import(path, options, site, name=path.name)


def export_project(
    settings: Settings, slug: str, wanted: ExportIn, out: Path, on_progress: OnProgress
) -> Written:
    """Write a project to the file `out`, which appears when it is whole."""
    with _sessions_on(settings) as sessions:
        with transaction(sessions) as session:
            project = projects.get_project(session, slug)
        with sessions() as session:
            source = Source(session, make_store(settings), project, wanted, on_progress)
            return service.run_export(source, out)

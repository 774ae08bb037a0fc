"""`create_app()`: settings, middleware, routers, error handlers; nothing else."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import Settings, get_settings
from app.core.db import make_engine, make_sessions
from app.core.errors import Unavailable
from app.core.http.middleware import BodyLimit, RequestContext
from app.core.http.problems import ProblemApi, install_problem_handlers
from app.core.logging import configure_logging
from app.core.migrate import ensure_at_head
from app.core.storage import make_store
from app.routers import API_PREFIX, include_routers

DESCRIPTION = """Label the defects in factory photos with little human time.

Upload photos, label a few, train, decide the pseudo-labels, train again, read the KPIs, export.
Errors are RFC 9457 problem documents; listings are paged by `next_cursor`."""


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or get_settings()
    configure_logging(settings.log_level, json=settings.log_json)
    if settings.database_url is None:
        raise Unavailable("KIZU_DATABASE_URL is not set. Run `kizu up`, which brings a database.")
    engine = make_engine(settings.database_url)
    ensure_at_head(engine)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # What starting made is never garbage. Unless it is left out, looking for garbage walks
        # through all of it, while somebody waits for a page.
        gc.freeze()
        yield
        gc.unfreeze()
        engine.dispose()

    app = api_alone()
    app.router.lifespan_context = lifespan
    app.state.settings = settings
    app.state.sessions = make_sessions(engine)
    app.state.store = make_store(settings)
    app.add_middleware(BodyLimit, limit_of=lambda path: body_limit(settings, path))
    app.add_middleware(RequestContext)
    return app


def api_alone() -> FastAPI:
    """Routes and errors without servers behind them: enough to describe the API."""
    app = ProblemApi(
        title="Kizu",
        version="0.1.0",
        description=DESCRIPTION,
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    install_problem_handlers(app)
    include_routers(app)
    return app


def body_limit(settings: Settings, path: str) -> int:
    """Bytes a request may have: uploads and imports carry files, everything else is small."""
    carries_files = path.startswith(API_PREFIX) and path.endswith(("/images", "/imports"))
    return settings.upload_max_bytes if carries_files else settings.request_max_bytes

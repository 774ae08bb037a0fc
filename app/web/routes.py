"""Every page, and the files they need. Pages read through the services and write over the API."""

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.web import (
    acceptance_pages,
    comparison_pages,
    exchange_pages,
    grid_pages,
    guide_pages,
    image_pages,
    job_pages,
    kpi_pages,
    model_pages,
    project_pages,
    prompt_pages,
    settings_pages,
    sign_in_pages,
    trail_pages,
    work_pages,
)
from app.web.errors import show_errors_as_pages
from app.web.templating import STATIC

PAGES = (
    sign_in_pages,
    project_pages,
    prompt_pages,
    image_pages,
    work_pages,
    grid_pages,
    guide_pages,
    job_pages,
    acceptance_pages,  # Their addresses would else be taken for the number of a version.
    comparison_pages,
    model_pages,
    kpi_pages,
    exchange_pages,
    settings_pages,
    trail_pages,
)


class StaticAssets(StaticFiles):
    """Files whose address carries their hash may be kept for ever; others are asked for again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        has_hash = scope["query_string"].startswith(b"v=")
        lifetime = "public, max-age=31536000, immutable" if has_hash else "no-cache"
        response.headers["cache-control"] = lifetime
        return response


def include_pages(app: FastAPI) -> None:
    """Add the pages, their files and their errors; call after the problem handlers are there."""
    for pages in PAGES:
        app.include_router(pages.router)
    app.mount("/static", StaticAssets(directory=STATIC), name="static")
    show_errors_as_pages(app)

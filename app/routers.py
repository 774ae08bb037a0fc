"""Every noun's routes, in the order of the data flow, and the health check."""

from fastapi import APIRouter, FastAPI

from app.annotations import routes as annotations
from app.catalog import removal_routes as removal
from app.catalog import routes as catalog
from app.core.http import health
from app.exchange import routes as exchange
from app.identity import routes as identity
from app.images import routes as images
from app.jobs import routes as jobs
from app.kpis import routes as kpis
from app.projects import routes as projects
from app.pseudolabels import comparison_routes as comparison
from app.pseudolabels import routes as pseudolabels
from app.reviews import acceptance_routes as acceptance
from app.reviews import decision_routes as decisions
from app.reviews import routes as reviews
from app.reviews import statement_routes as statements
from app.trail import routes as trail
from app.training import routes as training
from app.web.routes import include_pages

API_PREFIX = "/api/v1"
API: tuple[APIRouter, ...] = (
    identity.sessions_router,
    identity.users_router,
    identity.tokens_router,
    projects.router,
    projects.labels_router,
    trail.router,
    jobs.router,
    images.router,
    annotations.router,
    statements.router,
    training.router,
    comparison.router,
    decisions.router,  # Its paths would else be taken for the id of a pseudo-label.
    pseudolabels.router,
    reviews.router,
    reviews.decisions_router,
    acceptance.router,
    catalog.router,
    removal.router,
    kpis.router,
    exchange.router,
)


def include_routers(app: FastAPI) -> None:
    """Mount the API under its version, then the pages."""
    app.include_router(health.router)
    for router in API:
        app.include_router(router, prefix=API_PREFIX)
    include_pages(app)

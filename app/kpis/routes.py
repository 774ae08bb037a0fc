"""HTTP of the KPIs: JSON, or CSV by `Accept: text/csv` or under `/kpis.csv`."""

from typing import Annotated

from fastapi import Header, Query, Response

from app.core.errors import NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.identity.deps import CanRead
from app.kpis import service
from app.kpis.schemas import KpiQuery, KpisOut
from app.kpis.table import to_csv
from app.projects.deps import ProjectDep

router = make_router("/projects/{slug}", "KPIs")
CSV = "text/csv"


@router.get(
    "/kpis",
    summary="What labeling costs and saves, and how good the suggestions are",
    response_model=KpisOut,
    responses=responses(NotFound) | {200: {"content": {CSV: {}}}},
)
def read_kpis(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[KpiQuery, Query()],
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> KpisOut | Response:
    """Each figure is defined in the explanation of the KPIs. Days are the project's own."""
    kpis = service.compute(session, project, query)
    return _csv(project.slug, kpis) if CSV in accept else kpis


@router.get(
    "/kpis.csv",
    summary="The KPIs as a table",
    response_class=Response,
    responses=responses(NotFound) | {200: {"content": {CSV: {}}}},
)
def read_kpis_table(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[KpiQuery, Query()],
) -> Response:
    return _csv(project.slug, service.compute(session, project, query))


def _csv(slug: str, kpis: KpisOut) -> Response:
    name = f"{slug}-kpis.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(to_csv(kpis), media_type=CSV, headers=headers)

"""HTTP of the KPIs: JSON, or CSV by `Accept: text/csv` or under `/kpis.csv`."""

from typing import Annotated

from fastapi import Header, Query, Request, Response

from app.core.errors import BadRequest, NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanRead
from app.kpis import service
from app.kpis.reading import Reading, RowReading
from app.kpis.rows import list_rows
from app.kpis.schemas import KpiQuery, KpiRowOut, KpiRowQuery, KpisOut
from app.kpis.table import rows_to_csv, to_csv
from app.projects.deps import ProjectDep

router = make_router("/projects/{slug}", "KPIs")
CSV = "text/csv"
ROWS_IN_A_TABLE = 50_000


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
    kpis = service.compute(Reading(session, project, query))
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
    return _csv(project.slug, service.compute(Reading(session, project, query)))


@router.get(
    "/kpis/rows",
    summary="The rows behind a figure",
    response_model=Page[KpiRowOut],
    responses=responses(NotFound, BadRequest),
)
def list_kpi_rows(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[KpiRowQuery, Query()],
) -> Page[KpiRowOut]:
    """The newest first; of the queue, what has waited longest. What each row adds to the figure is
    its `contribution`. The queue's rows leave out photos of the control arm."""
    found = list_rows(RowReading(session, project, query), limit=query.limit)
    return Page(items=found.rows, next_cursor=found.next_cursor)


@router.get(
    "/kpis/rows.csv",
    summary="The rows behind a figure as a table",
    response_class=Response,
    responses=responses(NotFound, BadRequest) | {200: {"content": {CSV: {}}}},
)
def read_kpi_rows_table(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[KpiRowQuery, Query()],
) -> Response:
    """All of them, whatever `limit` says; after 50,000 the next ones are in the header `Link`."""
    found = list_rows(RowReading(session, project, query), limit=ROWS_IN_A_TABLE)
    answer = _table(f"{project.slug}-{query.figure}.csv", rows_to_csv(found.rows))
    if found.next_cursor:
        following = request.url.include_query_params(cursor=found.next_cursor)
        answer.headers["link"] = f'<{following.path}?{following.query}>; rel="next"'
    return answer


def _csv(slug: str, kpis: KpisOut) -> Response:
    return _table(f"{slug}-kpis.csv", to_csv(kpis))


def _table(name: str, content: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=CSV, headers=headers)

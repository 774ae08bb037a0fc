"""The KPI page: what labeling costs and saves, and how good the suggestions are."""

from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from app.core.http.deps import SessionDep
from app.identity.deps import CanRead
from app.kpis import service as kpis
from app.kpis.schemas import KpiQuery, KpisOut
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.web import charts
from app.web.requests import page_router
from app.web.templating import render

CHART_WIDTH, CHART_HEIGHT = 1120.0, 120.0
MOMENT = timedelta(microseconds=1)
router = page_router("/projects/{slug}/kpis")


@router.get("", summary="Labeling time saved and quality", response_class=HTMLResponse)
def kpi_page(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[KpiQuery, Query()],
) -> HTMLResponse:
    found = kpis.compute(session, project, query)
    labels = projects.list_labels(session, project.id, include_archived=True)
    zone, last_moment = ZoneInfo(project.time_zone), found.end - MOMENT
    return render(
        request,
        "kpis.html",
        principal=principal,
        project=project,
        kpis=found,
        last_moment=last_moment,
        first_day=found.start.astimezone(zone).date(),
        last_day=last_moment.astimezone(zone).date(),
        labels_by_key={label.key: label for label in labels},
        gains={gain.label: gain for gain in found.detection_gain.labels},
        columns=finished_columns(found),
        chart_width=CHART_WIDTH,
        chart_height=CHART_HEIGHT,
    )


def finished_columns(found: KpisOut) -> list[charts.Bar]:
    """Images that people finished, per bucket of the series."""
    points = [(f"{bucket.start:%m/%d}", bucket.finished_images) for bucket in found.series]
    return charts.columns(points[-24:], width=CHART_WIDTH, height=CHART_HEIGHT)

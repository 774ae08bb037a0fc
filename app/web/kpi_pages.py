"""The KPI pages: what labeling costs and saves, how good suggestions are, and the rows behind."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from app.core.clock import now
from app.core.http.deps import SessionDep
from app.identity.deps import CanRead
from app.kpis import rows
from app.kpis import service as kpis
from app.kpis.reading import Reading, RowReading
from app.kpis.schemas import (
    Bucket,
    BucketOut,
    KpiQuery,
    KpiRowQuery,
    KpisOut,
)
from app.projects.deps import ProjectDep
from app.web import charts
from app.web.requests import address_with, page_router
from app.web.templating import render

CHART_WIDTH, CHART_HEIGHT = 300.0, 130.0
BUCKETS_IN_A_CHART = 31
ROWS_PER_PAGE = 50
router = page_router("/projects/{slug}/kpis")


class PageQuery(KpiQuery):
    """Weeks unless asked otherwise: days are too many to be understood at a glance."""

    bucket: Bucket = Bucket.WEEK


@router.get("", summary="Labeling time saved and quality", response_class=HTMLResponse)
def kpi_page(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[PageQuery, Query()],
) -> HTMLResponse:
    reading = Reading(session, project, query)
    found = kpis.compute(reading)
    return render(
        request,
        "kpis.html",
        principal=principal,
        project=project,
        kpis=found,
        lines=kpis.list_lines(session, project),
        labels_by_key={label.key: label for label in reading.labels},
        gains={gain.label: gain for gain in found.detection_gain.labels},
        charts_of=series_charts(found),
        wish=wish_of(query),
        made_at=now(),
        **_days(reading),
    )


@router.get("/rows", summary="The rows behind a figure", response_class=HTMLResponse)
def rows_page(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[KpiRowQuery, Query()],
) -> HTMLResponse:
    """With `HX-Request` and a cursor only the further rows are sent."""
    reading = RowReading(session, project, query)
    found = rows.list_rows(reading, limit=ROWS_PER_PAGE)
    is_further = query.cursor is not None and "hx-request" in request.headers
    whole = {} if is_further else {"value": kpis.figure_of(reading), **_days(reading)}
    return render(
        request,
        "kpi_row_items.html" if is_further else "kpi_rows.html",
        principal=principal,
        project=project,
        rows=found.rows,
        more=address_with(request, cursor=found.next_cursor) if found.next_cursor else None,
        labels_by_key={label.key: label for label in reading.labels},
        query=query,
        is_about_labels=query.figure in rows.ABOUT_LABELS,
        wish=wish_of(query),
        **whole,
    )


def wish_of(query: KpiQuery) -> Callable[..., str]:
    """Writes the query of an address: what was asked for here, and what a link changes in it."""
    asked = query.model_dump(mode="json", by_alias=True, exclude_none=True)
    asked = {name: value for name, value in asked.items() if name not in {"cursor", "limit"}}

    def wish(**changes: str | None) -> str:
        return urlencode({k: v for k, v in (asked | changes).items() if v is not None})

    return wish


def _days(reading: Reading) -> dict[str, Any]:
    """The first and the last day that the figures cover, as the factory's calendar has them."""
    period, last_moment = reading.period, reading.last_moment
    zone = ZoneInfo(period.time_zone)
    return {
        "period": period,
        "last_moment": last_moment,
        "first_day": period.start.astimezone(zone).date(),
        "last_day": last_moment.astimezone(zone).date(),
    }


def series_charts(found: KpisOut) -> dict[str, charts.Chart | None]:
    """What a manager watches from week to week."""

    def chart(value: str, bounds: str = "", top: float | None = None) -> charts.Chart | None:
        points = [
            _point(bucket, found.bucket, value, bounds)
            for bucket in found.series[-BUCKETS_IN_A_CHART:]
        ]
        return charts.series_chart(points, width=CHART_WIDTH, height=CHART_HEIGHT, top=top)

    return {
        "time_saved": chart("saved_hours", "saved_{}_hours"),
        "images_per_hour": chart("images_per_hour", "images_per_hour_{}"),
        "acceptance_rate": chart("acceptance_rate", "acceptance_{}", top=1.0),
        "finished_images": chart("finished_images"),
    }


def _point(bucket: BucketOut, size: Bucket, value: str, bounds: str) -> charts.Point:
    label = f"{bucket.start:%Y/%m}" if size == Bucket.MONTH else f"{bucket.start:%m/%d}"
    low, high = (getattr(bucket, bounds.format(end)) if bounds else None for end in ("low", "high"))
    return charts.Point(label, getattr(bucket, value), low, high)

"""What is asked about a project: in which period, and the evidence of it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.core.clock import now
from app.core.errors import Invalid
from app.kpis import days
from app.kpis.evidence import EVERYTHING, Evidence, Kind
from app.kpis.repository import MOMENT, Period
from app.kpis.schemas import Bucket, Figure, KpiQuery, KpiRowQuery
from app.projects import service as projects
from app.projects.models import Label, Project

DEFAULT_DAYS = 30
# A day more, thirty days less, or the same moment in another zone: all must remain a date.
YEARS = range(2, 9999)
# All others are shares of decisions.
NEEDED: dict[Figure, Collection[Kind]] = {
    Figure.TIME_SAVED: {Kind.FINISHED, Kind.SPENT, Kind.CLEARED},
    Figure.FINISHED_IMAGES: {Kind.FINISHED},
    Figure.IMAGES_PER_HOUR: {Kind.FINISHED},
    Figure.ACTIVE_TIME: {Kind.SPENT},
    Figure.QUEUE: (),
    Figure.AGREEMENT: {Kind.RESTATED},
}


@dataclass(frozen=True)
class Reading:
    """Figures, and the rows behind them, share the evidence: it is read once, when it is needed."""

    session: Session
    project: Project
    query: KpiQuery

    @cached_property
    def period(self) -> Period:
        return period_of(self.project, self.query)

    @property
    def last_moment(self) -> datetime:
        return self.period.end - MOMENT

    @cached_property
    def labels(self) -> list[Label]:
        """All that the project ever had: decisions about one put away still count."""
        return projects.list_labels(self.session, self.project.id, include_archived=True)

    @property
    def size(self) -> Bucket:
        """Of the smallest buckets that are shown."""
        return self.query.bucket

    @property
    def kinds(self) -> Collection[Kind]:
        """What the figures need."""
        return EVERYTHING

    @cached_property
    def evidence(self) -> Evidence:
        return days.read(self.session, self.period, self.size, self.kinds)


@dataclass(frozen=True)
class RowReading(Reading):
    """What is asked about one figure."""

    query: KpiRowQuery

    @property
    def size(self) -> Bucket:
        """Rows are shown one by one, of any size is what they are compared with: a week."""
        return Bucket.WEEK

    @property
    def kinds(self) -> Collection[Kind]:
        return NEEDED.get(self.query.figure, {Kind.DECISIONS})


def period_of(project: Project, query: KpiQuery) -> Period:
    """The moments that the query's days mean in the project's time zone."""
    if any(day is not None and day.year not in YEARS for day in (query.start, query.end)):
        raise Invalid(f"`from` and `to` must lie in the years {YEARS[0]} to {YEARS[-1]}.")
    zone = ZoneInfo(project.time_zone)
    end = query.end if query.end is not None else now().astimezone(zone).date()
    until = _moment(end, zone, days=1)
    start = query.start
    if start is None:
        start = (until - timedelta(days=DEFAULT_DAYS)).astimezone(zone)
    since = _moment(start, zone)
    if since >= until:
        raise Invalid("`from` must be before `to`.")
    return Period(project.id, since, until, project.time_zone, query.line)


def _moment(day: date | datetime, zone: ZoneInfo, *, days: int = 0) -> datetime:
    if isinstance(day, datetime):
        return day if day.tzinfo else day.replace(tzinfo=zone)
    return datetime.combine(day + timedelta(days=days), time(), zone)

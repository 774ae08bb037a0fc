"""Rules of reading the audit trail: what a filter means, and the names behind the ids."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session, sessionmaker

from app.core import audit
from app.core.audit import AuditEvent, ChainCheck
from app.core.errors import Invalid, NotFound
from app.core.pagination import MAX_LIMIT, Slice
from app.identity import service as identity
from app.identity.models import User
from app.projects import rules
from app.projects import service as projects
from app.projects.models import Project
from app.trail import repository
from app.trail.repository import Wanted
from app.trail.schemas import EventFilter

# A day more, or the same moment in another zone: all must remain a date.
YEARS = range(2, 9999)


@dataclass(frozen=True)
class Entry:
    """An event with whom and what its ids name; a deleted project is named no more."""

    event: AuditEvent
    actor: User | None
    project: Project | None


def page_of_entries(
    session: Session, query: EventFilter, *, cursor: str | None, limit: int
) -> Slice[Entry]:
    """The newest first."""
    wanted = _wanted(session, query)
    return _named_page(session, wanted, cursor=cursor, limit=limit)


def every_entry(
    session: Session, sessions: sessionmaker[Session], query: EventFilter
) -> Iterator[Entry]:
    """All that match, page by page, so that no connection is held while somebody reads slowly.

    Raises for a filter that makes no sense before the first entry is asked for.
    """
    wanted = _wanted(session, query)

    def entries() -> Iterator[Entry]:
        cursor: str | None = None
        while True:
            with sessions() as own_session:
                page = _named_page(own_session, wanted, cursor=cursor, limit=MAX_LIMIT)
            yield from page.rows
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    return entries()


def check_chain(session: Session) -> ChainCheck:
    """Whether every event still is what was written, in its place."""
    return audit.check_chain(session)


def _wanted(session: Session, query: EventFilter) -> Wanted:
    rules.check_time_zone(query.time_zone)
    zone = ZoneInfo(query.time_zone)
    return Wanted(
        project_id=None if query.project is None else _project_id(session, query.project),
        actor_id=query.actor,
        action=query.action,
        object_type=query.object_type,
        since=_midnight(query.first_day, zone),
        until=_midnight(query.last_day, zone, days=1),
    )


def _midnight(day: date | None, zone: ZoneInfo, *, days: int = 0) -> datetime | None:
    if day is None:
        return None
    if day.year not in YEARS:
        raise Invalid(f"`from` and `to` must lie in the years {YEARS[0]} to {YEARS[-1]}.")
    return datetime.combine(day + timedelta(days=days), time(), zone)


def _project_id(session: Session, named: str) -> UUID:
    """Of a slug; a deleted project has none left and goes by its id."""
    try:
        return projects.get_project(session, named).id
    except NotFound:
        try:
            return UUID(named)
        except ValueError:
            raise NotFound(f"There is no project '{named}'.") from None


def _named_page(
    session: Session, wanted: Wanted, *, cursor: str | None, limit: int
) -> Slice[Entry]:
    page = repository.page_of_events(session, wanted, cursor=cursor, limit=limit)
    return Slice(_with_names(session, page.rows), page.next_cursor)


def _with_names(session: Session, events: Sequence[AuditEvent]) -> list[Entry]:
    people = identity.users_by_id(session, {e.actor_id for e in events if e.actor_id})
    named = projects.projects_by_id(session, {e.project_id for e in events if e.project_id})
    return [
        Entry(
            event,
            people.get(event.actor_id) if event.actor_id else None,
            named.get(event.project_id) if event.project_id else None,
        )
        for event in events
    ]

"""HTTP of the audit trail, for administrators: read it, take it along, check it."""

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import StreamingResponse

from app.core.errors import BadRequest, NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanAdminister
from app.trail import service
from app.trail.schemas import ActorOut, ChainOut, EventFilter, EventOut, EventQuery
from app.trail.service import Entry
from app.trail.table import to_csv

router = make_router("", "Audit trail")
CSV = "text/csv"


@router.get(
    "/audit-events",
    summary="Who did what to which object, the newest first",
    response_model=Page[EventOut],
    responses=responses(NotFound, BadRequest),
)
def list_events(
    session: SessionDep, principal: CanAdminister, query: Annotated[EventQuery, Query()]
) -> Page[EventOut]:
    """The trail is append-only; the events of a deleted project stay."""
    page = service.page_of_entries(session, query, cursor=query.cursor, limit=query.limit)
    items = [_described(entry) for entry in page.rows]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get(
    "/audit-events.csv",
    summary="The audit trail as a table",
    response_class=StreamingResponse,
    responses=responses(NotFound) | {200: {"content": {CSV: {}}}},
)
def download_events(
    request: Request,
    session: SessionDep,
    principal: CanAdminister,
    query: Annotated[EventFilter, Query()],
) -> StreamingResponse:
    """With the same filters, all pages in one."""
    entries = service.every_entry(session, request.app.state.sessions, query)
    headers = {"content-disposition": 'attachment; filename="audit-events.csv"'}
    return StreamingResponse(to_csv(entries), media_type=CSV, headers=headers)


@router.get(
    "/audit-chain",
    summary="Check that the audit trail is whole",
    response_model=ChainOut,
    responses=responses(),
)
def check_chain(session: SessionDep, principal: CanAdminister) -> ChainOut:
    """Computes the hash of every event again and compares it with the next one's. It shows events
    that were edited or removed in the database, but not that the newest were cut off: for that,
    compare `newest_hash` with one noted before."""
    found = service.check_chain(session)
    return ChainOut(
        is_intact=found.flaw is None,
        events=found.events,
        newest_hash=found.newest_hash,
        flaw=found.flaw,
        flawed_id=found.flawed_id,
    )


def _described(entry: Entry) -> EventOut:
    event = entry.event
    return EventOut(
        id=event.id,
        at=event.at,
        actor=ActorOut.model_validate(entry.actor) if entry.actor else None,
        project_id=event.project_id,
        project=entry.project.slug if entry.project else None,
        action=event.action,
        object_type=event.object_type,
        object_id=event.object_id,
        before=event.before,
        after=event.after,
        hash=event.hash,
    )

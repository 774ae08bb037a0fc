"""The page of the audit log: who did what and when, in words, with its filters in the address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams

from app.core.audit import AuditEvent
from app.core.errors import Invalid
from app.core.http.deps import SessionDep
from app.identity import service as identity
from app.identity.deps import CanAdminister
from app.identity.models import User
from app.projects import service as projects
from app.projects.models import Label, Project
from app.trail import service as trail
from app.trail.schemas import EventQuery
from app.trail.service import Entry
from app.web.languages import Language, choose_language
from app.web.requests import page_router
from app.web.settings_pages import house_zone
from app.web.templating import label_name, render

HERE = "/settings/audit"
ACTIONS = (
    "project.created", "project.edited", "project.deleted", "project.purged", "photos.purged",
    "label.created", "label.edited", "labels.ordered", "label.archived", "label.unarchived",
    "image.edited", "image.deleted",
    "model.created", "model.promoted_by_gate", "model.promoted", "model.rolled_back",
    "user.created", "user.edited", "user.sign_in_link_created", "user.password_changed",
    "user.signed_in", "user.signed_out", "user.sign_in_slowed", "token.created", "token.revoked",
)  # fmt: skip
OBJECT_TYPES = ("project", "label", "image", "model_version", "user", "token", "job")
# What says nothing to a reader: an id and a hash are not words.
UNSAID = frozenset({"id", "sha256"})
SHARES = frozenset({"control_rate", "audit_rate", "evaluation_rate", "gate_margin"})
router = page_router(HERE)


@dataclass(frozen=True)
class Change:
    """One member before and after; None where there was nothing to be."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Line:
    """An event as the page tells it: what it was done to by name, and where that is found."""

    event: AuditEvent
    actor: User | None
    project: Project | None
    name: str | None
    address: str | None
    changes: list[Change]


@router.get("", summary="The audit log", response_class=HTMLResponse)
def audit_page(request: Request, session: SessionDep, principal: CanAdminister) -> HTMLResponse:
    query = parse_query(request.query_params)
    every = projects.list_projects(session, include_archived=True)
    zone = next((p.time_zone for p in every if p.slug == query.project), house_zone(session))
    query = query.model_copy(update={"time_zone": zone})
    page = trail.page_of_entries(session, query, cursor=query.cursor, limit=query.limit)
    language = choose_language(request, principal.locale)
    return render(
        request,
        "settings_audit.html",
        principal=principal,
        lines=lines(session, page.rows, language),
        query=query,
        zone=zone,
        projects=every,
        people=identity.list_users(session),
        actions=ACTIONS,
        object_types=OBJECT_TYPES,
        more=address(HERE, query, cursor=page.next_cursor) if page.next_cursor else None,
        newest=address(HERE, query),
        csv=address("/api/v1/audit-events.csv", query, time_zone=zone),
    )


@router.get("/chain", summary="Whether the audit log is whole", response_class=HTMLResponse)
def chain_part(request: Request, session: SessionDep, principal: CanAdminister) -> HTMLResponse:
    """A part of the page."""
    check = trail.check_chain(session)
    return render(request, "audit_chain.html", principal=principal, check=check)


def parse_query(params: QueryParams) -> EventQuery:
    """The events that an address asks for; empty fields of the filter form do not matter.

    Raises `Invalid` for a filter that does not exist.
    """
    try:
        return EventQuery.model_validate({name: value for name, value in params.items() if value})
    except ValidationError as error:
        raise Invalid("; ".join(item["msg"] for item in error.errors())) from error


def address(path: str, query: EventQuery, **more: str | None) -> str:
    """`path` with the same filters."""
    kept = query.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"cursor", "limit", "time_zone"}
    )
    given = urlencode(kept | {name: value for name, value in more.items() if value})
    return f"{path}?{given}" if given else path


def lines(session: Session, entries: list[Entry], language: Language) -> list[Line]:
    """With the names of people and labels, two queries for all."""
    people = identity.users_by_id(session, _objects(entries, "user"))
    labels = projects.labels_by_id(session, _objects(entries, "label"))
    return [
        Line(
            entry.event,
            entry.actor,
            entry.project,
            _name(entry, people, labels, language),
            _address(entry, people),
            changes(entry.event),
        )
        for entry in entries
    ]


def _objects(entries: list[Entry], kind: str) -> set[UUID]:
    return {UUID(e.event.object_id) for e in entries if e.event.object_type == kind}


def _name(
    entry: Entry, people: Mapping[UUID, User], labels: Mapping[UUID, Label], language: Language
) -> str | None:
    """What people call the object, where that is known; else its kind must do."""
    event = entry.event
    told = (event.after or {}) | (event.before or {})
    if event.object_type == "user":
        return people[UUID(event.object_id)].display_name if _is_known(event, people) else None
    if event.object_type == "label" and _is_known(event, labels):
        return label_name(labels[UUID(event.object_id)], language)
    if event.object_type == "project":
        return entry.project.name if entry.project else told.get("name") or told.get("slug")
    return told.get("file_name")


def _is_known(event: AuditEvent, found: Mapping[UUID, Any]) -> bool:
    return UUID(event.object_id) in found


def _address(entry: Entry, people: Mapping[UUID, User]) -> str | None:
    event = entry.event
    if event.object_type == "user" and _is_known(event, people):
        return f"/settings/members?person={event.object_id}"
    if entry.project is None:
        return None
    at = f"/projects/{entry.project.slug}"
    number = (event.after or {}).get("number")
    return {
        "project": at,
        "label": f"{at}/labels",
        "image": None if event.action == "image.deleted" else f"{at}/images/{event.object_id}",
        "model_version": f"{at}/models/{number}" if number else f"{at}/models",
    }.get(event.object_type)


def changes(event: AuditEvent) -> list[Change]:
    """Member by member what was and what is, without what did not change."""
    before, after = event.before or {}, event.after or {}
    fields = [name for name in {**before, **after} if name not in UNSAID]
    pairs = [(name, _side(before, name), _side(after, name)) for name in fields]
    return [Change(*pair) for pair in pairs if pair[1] != pair[2]]


def _side(values: Mapping[str, Any], name: str) -> str | None:
    if name not in values:
        return None
    value = values[name]
    return f"{100 * value:.6g}%" if name in SHARES else _in_words(value)


def _in_words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_in_words(one)}" for key, one in value.items())
    return str(value)

"""Pages of images: the grid with its filters and its search in the address, and one photo."""

from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse
from pydantic import Field, ValidationError
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams

from app.catalog import search
from app.catalog import service as catalog
from app.catalog.filters import Knowledge
from app.catalog.schemas import CAPTURE_FIELDS, ListingQuery
from app.catalog.search import Found
from app.catalog.service import Entry
from app.core.config import Settings
from app.core.errors import Invalid
from app.core.http.deps import SessionDep, SettingsDep
from app.core.pagination import Slice
from app.identity.deps import CanRead
from app.identity.permissions import Principal
from app.images.models import ImageState, Split
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Label, Project
from app.web.image_cards import cards_of
from app.web.languages import Language, choose_language, translations
from app.web.requests import address_with, page_router
from app.web.searches import Search, look_for, similar_photos
from app.web.templating import render

PER_PAGE = 60
router = page_router("/projects/{slug}/images")


class GridQuery(ListingQuery):
    """What the address of the grid may say: a listing, or what to search for."""

    fold: bool = True
    text: str | None = Field(None, max_length=200)
    similar_to: UUID | None = None
    waited: int = Field(0, ge=0)


@router.get("", summary="The photos of a project", response_class=HTMLResponse)
def images_page(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    settings: SettingsDep,
    principal: CanRead,
) -> HTMLResponse:
    """With `HX-Request` and a cursor only the further photos are sent."""
    labels = projects.list_labels(session, project.id)
    query = parse_listing(request.query_params)
    found = _search(request, session, project, query, labels)
    page = Slice(found.entries, None) if found else _list(session, project, query, labels)
    is_further = query.cursor is not None and "hx-request" in request.headers
    return render(
        request,
        "image_items.html" if is_further else "images.html",
        principal=principal,
        project=project,
        cards=cards_of(page.rows, labels),
        more=address_with(request, cursor=page.next_cursor) if page.next_cursor else None,
        found=found,
        burst_address=address_with(request, burst=""),
        labels=labels,
        query=query,
        states=list(ImageState),
        splits=list(Split),
        values=list(Knowledge),
        upload=upload_config(request, project, principal, settings),
    )


def _list(
    session: Session, project: Project, query: GridQuery, labels: list[Label]
) -> Slice[Entry]:
    return catalog.list_images(
        session,
        project.id,
        query.to_filter({label.key: label.id for label in labels}),
        order=query.sort,
        cursor=query.cursor,
        limit=PER_PAGE,
        is_folded=query.fold and query.burst is None,
    )


def _search(
    request: Request, session: Session, project: Project, query: GridQuery, labels: list[Label]
) -> Search | None:
    """What is looked for in this address; None where photos are listed."""
    if query.text is None and query.similar_to is None:
        return None
    wanted = query.to_filter({label.key: label.id for label in labels})

    def ask() -> Found:
        if query.text is not None:
            return search.by_text(session, project, wanted, query.text, limit=PER_PAGE)
        assert query.similar_to is not None
        return search.like_image(session, project, wanted, query.similar_to, limit=PER_PAGE)

    again = address_with(request, waited=str(query.waited + 1))
    return look_for(ask, again=again, waited=query.waited)


@router.get("/{image_id}", summary="One photo", response_class=HTMLResponse)
def image_page(
    request: Request,
    project: ProjectDep,
    image_id: UUID,
    session: SessionDep,
    principal: CanRead,
) -> HTMLResponse:
    entry = catalog.get_entry(session, project.id, image_id)
    image = entry.image
    facts = {name: getattr(image, name) for name in CAPTURE_FIELDS if getattr(image, name)}
    return render(
        request,
        "image.html",
        principal=principal,
        project=project,
        entry=entry,
        facts=facts,
        labels=projects.list_labels(session, project.id, include_archived=True),
        suggestions={row.label_id: row for row in entry.pseudo_labels},
        similar=similar_photos(session, project, image.id),
    )


def upload_config(
    request: Request, project: Project, principal: Principal, settings: Settings
) -> dict[str, Any]:
    """What the upload's script must know. A request has room for more than its photos."""
    return {
        "slug": project.slug,
        "user": str(principal.user_id),
        "limits": {
            "files": settings.upload_max_files,
            "bytes": settings.upload_max_bytes * 9 // 10,
        },
        "messages": upload_messages(choose_language(request, principal.locale)),
    }


def upload_messages(language: Language) -> dict[str, Any]:
    """The words that the upload's script puts on the screen."""
    _ = translations(language).gettext
    return {
        "statuses": {
            "created": _("Stored"),
            "already_there": _("Already there"),
            "rejected": _("Rejected"),
            "failed": _("Not sent"),
        },
        "states": {
            "reading": _("Reading the folder"),
            "sending": _("Sending"),
            "pausing": _("Pausing; what is on its way still arrives"),
            "paused": _("Paused"),
            "done": _("Finished"),
        },
        "obstacles": {
            "network": _("No network; it goes on by itself once there is one"),
            "session": _("You are signed out; it goes on once you have signed in"),
            "server": _("The server takes no photos at the moment: {detail}"),
        },
        "reasons": {
            "rejected": {
                "empty": _("The file is empty."),
                "unsupported": _("It is none of JPEG, PNG, TIFF, BMP and WebP."),
                "corrupt": _("The file is damaged."),
                "too_large": _("It has more pixels than Kizu takes."),
                "too_heavy": _("It is larger than {megabytes} MB."),
            },
            "failed": {
                "unreadable": _("This computer cannot read the file."),
                "broken": _("The connection broke each time it was sent."),
                "stopped": _("You cancelled."),
            },
        },
        "other_name": _("as {name}"),
        "count": _("{done} of {all}"),
        "pace": _("{rate}, about {time} left"),
        "retry_in": _("next try in {seconds} s"),
        "resume": _("Resume"),
        "try_now": _("Try now"),
        "capped": _("The newest {shown} of {all}. All are in the CSV file."),
        "interrupted": _(
            "An upload was cut off when {done} of {all} photos were done. Drop the same photos "
            "again: those that are there are not sent twice."
        ),
        "columns": [_("File"), _("Result"), _("Reason")],
        "csv_name": "upload-results.csv",
    }


def parse_listing(params: QueryParams) -> GridQuery:
    """The listing that an address asks for; empty fields of the filter form do not matter.

    Raises `Invalid` for a filter that does not exist.
    """
    given: dict[str, Any] = {name: value for name, value in params.items() if value.strip()}
    given["label"] = [value for value in params.getlist("label") if value]
    try:
        return GridQuery.model_validate(given)
    except ValidationError as error:
        raise Invalid("; ".join(item["msg"] for item in error.errors())) from error

"""The desks: annotate and review. One page for both; everything else happens over the API."""

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app.core.http.deps import SessionDep
from app.identity.deps import CanReview
from app.identity.permissions import Principal
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Label, Project
from app.reviews.models import Purpose, QueueOrder
from app.web.languages import Language, choose_language, translations
from app.web.requests import page_router
from app.web.templating import label_name, render

router = page_router("/projects/{slug}")


class DeskWish(BaseModel):
    """Which photos the desk serves, as its address says."""

    order: QueueOrder = QueueOrder.UNCERTAINTY
    lot: str | None = None
    label: str | None = None


Wished = Annotated[DeskWish, Query()]


@router.get("/annotate", summary="Label photos from scratch", response_class=HTMLResponse)
def annotate_page(
    request: Request, project: ProjectDep, session: SessionDep, principal: CanReview, wish: Wished
) -> HTMLResponse:
    return _desk(request, session, project, principal, Purpose.ANNOTATE, wish)


@router.get("/review", summary="Decide what the model suggests", response_class=HTMLResponse)
def review_page(
    request: Request, project: ProjectDep, session: SessionDep, principal: CanReview, wish: Wished
) -> HTMLResponse:
    return _desk(request, session, project, principal, Purpose.REVIEW, wish)


def _desk(
    request: Request,
    session: SessionDep,
    project: Project,
    principal: Principal,
    purpose: Purpose,
    wish: DeskWish,
) -> HTMLResponse:
    language = choose_language(request, principal.locale)
    labels = projects.list_labels(session, project.id)
    config = {
        "slug": project.slug,
        "user": str(principal.user_id),
        "purpose": purpose,
        "wish": wish.model_dump(mode="json", exclude_none=True),
        "labels": [label_facts(label, language) for label in labels],
        "messages": desk_messages(language, purpose),
    }
    return render(
        request,
        "desk.html",
        principal=principal,
        project=project,
        purpose=purpose,
        config=config,
        wish=wish,
        orders=order_names(language) if purpose == Purpose.REVIEW else {},
    )


def label_facts(label: Label, language: Language) -> dict[str, Any]:
    return {
        "key": label.key,
        "name": label_name(label, language),
        "hotkey": label.hotkey,
        "colour": label.colour,
    }


def order_names(language: Language) -> dict[str, str]:
    _ = translations(language).gettext
    return {
        QueueOrder.UNCERTAINTY: _("Least sure first"),
        QueueOrder.MARGIN: _("Closest calls first"),
        QueueOrder.NOVELTY: _("Unlike anything labelled first"),
        QueueOrder.NEWEST: _("Newest first"),
        QueueOrder.LOT: _("Lot by lot"),
        QueueOrder.AUDIT: _("Checks without suggestions"),
    }


def desk_messages(language: Language, purpose: Purpose) -> dict[str, Any]:
    """The words that the desk's script puts on the screen."""
    _ = translations(language).gettext
    nothing = (
        _("No suggestion waits for you. New ones appear after a training.")
        if purpose == Purpose.REVIEW
        else _("Every photo is labelled, or in somebody else's hands.")
    )
    return {
        "suggested": _("{percent}% present"),
        "suggested_absent": _("{percent}% absent"),
        "nothing_title": _("Nothing waits"),
        "nothing_text": nothing,
        "trouble": _("Kizu does not answer"),
        "saved": _("Saved"),
        "skipped": _("Skipped"),
        "undone": _("Taken back"),
        "unsent": {
            "network": _("{count} not sent yet; trying again"),
            "session": _("{count} not sent yet: you are signed out"),
        },
        "lease_lost": _("You no longer hold this photo."),
        "press_key": _("Press a key …"),
        "change_key": _("Change"),
        "key_taken": _("That key already belongs to: {owner}"),
        "seconds": _("{seconds} s"),
        "heat": _("Where the model sees: {label}"),
        "no_heat": _("No heat map: the model suggests no label as present here."),
        "taken_by_other": _("Somebody else has finished this photo, or holds it."),
        "values": {
            "present": _("Present"),
            "unsure": _("Unsure"),
            "absent": _("Absent"),
            "unknown": _("nothing yet"),
        },
    }

"""Grid review: many photos of one suggested label at once; decisions happen over the API."""

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.annotations.models import LabelValue
from app.core.http.deps import SessionDep
from app.identity.deps import CanReview
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Label, Project
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.repository import Filter
from app.pseudolabels.schemas import Order
from app.training import service as training
from app.training.promises import PROMISED_SHARES, promised_thresholds
from app.web.languages import Language, choose_language, translations
from app.web.requests import page_router
from app.web.templating import render

router = page_router("/projects/{slug}/grid")
USUAL_THRESHOLD = 0.95


class GridWish(BaseModel):
    """Which suggestions are shown, as the address says; unless it names a label, the first one
    that something is suggested for."""

    label: str | None = None
    value: LabelValue = LabelValue.PRESENT
    order: Order = Order.MOST_CONFIDENT


@router.get("", summary="Decide many suggestions of one label", response_class=HTMLResponse)
def grid_page(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    principal: CanReview,
    wish: Annotated[GridWish, Query()],
) -> HTMLResponse:
    labels = projects.list_labels(session, project.id)
    named = [one for one in labels if one.key == wish.label]
    named = named or first_with_work(session, project, labels, wish.value) or labels[:1]
    config = {
        "slug": project.slug,
        "label": named[0].key if named else "",
        "value": wish.value,
        "order": wish.order,
        "threshold": USUAL_THRESHOLD,
        "promises": promises(session, project, named, wish.value),
        "messages": grid_messages(choose_language(request, principal.locale)),
    }
    return render(
        request, "grid.html", principal=principal, project=project, labels=labels, config=config
    )


def first_with_work(
    session: Session, project: Project, labels: list[Label], value: LabelValue
) -> list[Label]:
    """The first label of which such a suggestion waits, if any; an index answers for each."""
    for label in labels:
        wanted = Filter(label_id=label.id, value=value)
        if pseudolabels.list_pseudo_labels(session, project, wanted, limit=1).rows:
            return [label]
    return []


def promises(
    session: Session, project: Project, named: list[Label], value: LabelValue
) -> list[dict[str, float]]:
    """From which confidence on the live version promises how small a share of wrong answers, the
    smallest share first."""
    live = training.live_version(session, project.id)
    if live is None or not named:
        return []
    made = dict(promised_thresholds(live).get(str(named[0].id), []))
    return [
        {"share": share, "threshold": threshold}
        for share, threshold in zip(PROMISED_SHARES, made.get(value, []), strict=False)
        if threshold is not None
    ]


def grid_messages(language: Language) -> dict[str, Any]:
    """The words that the grid's script puts on the screen."""
    _ = translations(language).gettext
    return {
        "tile": _("Suggested with {percent}% confidence"),
        "selected": _("{count} selected"),
        "accept": _("{count} accepted"),
        "reject": _("{count} rejected"),
        "undone": _("Taken back"),
        "confirm": _("Accept {count} suggestions with {percent}% confidence or more?"),
        "estimate": _(
            "From {percent}% on: {count} of {all} suggestions, about {share}% of them wrong "
            "({wrong} suggestions), as confidence says."
        ),
        "none_above": _("From {percent}% on: none of {all} suggestions."),
        "promise": _("From here on at most {share}% are wrong, with 95% certainty."),
        "no_promise": _("Nothing is promised from here on: check some of them first."),
        "accept_above": _("Accept these {count}"),
    }

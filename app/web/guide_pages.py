"""The guide: a practice for new inspectors, on photos whose answers are known."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.identity.deps import PrincipalDep
from app.projects.rules import PALETTE
from app.web.languages import Language, choose_language, translations
from app.web.requests import page_router
from app.web.templating import render

router = page_router("/guide")


@router.get("", summary="Practise labelling", response_class=HTMLResponse)
def guide_page(request: Request, principal: PrincipalDep) -> HTMLResponse:
    language = choose_language(request, principal.locale)
    config = {
        "user": str(principal.user_id),
        "folder": "/static/guide",
        "labels": practice_labels(language),
        "messages": practice_messages(language),
    }
    return render(request, "guide.html", principal=principal, config=config)


def practice_labels(language: Language) -> list[dict[str, str]]:
    """What `scripts/guide_photos.py` draws."""
    _ = translations(language).gettext
    names = {
        "scratch": _("Scratch"),
        "stain": _("Stain"),
        "pit": _("Pits"),
        "peeling": _("Peeling"),
    }
    return [
        {"key": key, "name": name, "colour": colour}
        for (key, name), colour in zip(names.items(), PALETTE, strict=False)
    ]


def practice_messages(language: Language) -> dict[str, Any]:
    """The words that the practice's script puts on the screen."""
    _ = translations(language).gettext
    return {
        "count": _("photo {number} of {all}"),
        "begin": _("Nothing is stored here: try out every key."),
        "submit": _("Submit"),
        "next": _("Next photo"),
        "again": _("Once more"),
        "right": _("All right."),
        "wrong": _("Look again: {labels}. The frames show what is there."),
        "comma": _(", "),
        "found": _("found"),
        "missed": _("missed"),
        "not_there": _("not there"),
        "done": _("done"),
        "result": _("{right} of {all} photos right, {seconds} s each."),
    }

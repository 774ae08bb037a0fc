"""What the descriptions of a label find, while they are being written."""

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from app.catalog import search
from app.catalog.filters import ImageFilter
from app.core.http.deps import SessionDep
from app.identity.deps import CanRead
from app.images.models import ImageState
from app.projects.deps import ProjectDep
from app.projects.rules import plain_prompts
from app.web.requests import address_with, page_router
from app.web.searches import SIMILAR, look_for
from app.web.templating import render

MOST_PROMPTS, LONGEST_PROMPT = 20, 300
router = page_router("/projects/{slug}/labels")


@router.get("/preview", summary="What descriptions find", response_class=HTMLResponse)
def prompt_preview(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    prompts: Annotated[str, Query(max_length=8000)] = "",
    waited: Annotated[int, Query(ge=0)] = 0,
) -> HTMLResponse:
    """A part of the page of labels: the first photos for the lines of `prompts`."""
    lines = [line[:LONGEST_PROMPT] for line in plain_prompts(prompts.splitlines())[:MOST_PROMPTS]]
    wanted = ImageFilter(state=ImageState.READY)
    found = None
    if lines:
        found = look_for(
            lambda: search.by_prompts(session, project, wanted, lines, limit=SIMILAR),
            again=address_with(request, waited=str(waited + 1)),
            waited=waited,
        )
    return render(request, "prompt_preview.html", principal=principal, project=project, found=found)

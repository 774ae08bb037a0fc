"""The page of automatic acceptance: what is accepted without a person, and what checks found."""

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.core.http.deps import SessionDep
from app.identity.deps import CanRead
from app.projects.deps import ProjectDep
from app.reviews import audits
from app.training import service as training
from app.training.promises import PROMISED_SHARES, promised_thresholds
from app.web.requests import page_router
from app.web.templating import render

router = page_router("/projects/{slug}/models")


@router.get("/acceptance", summary="Automatic acceptance", response_class=HTMLResponse)
def acceptance_page(
    request: Request, project: ProjectDep, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    live = training.live_version(session, project.id)
    return render(
        request,
        "acceptance.html",
        principal=principal,
        project=project,
        live=live,
        promises=bool(live and promised_thresholds(live)),
        labels=audits.overview(session, project),
        clean=audits.of_clean_images(session, project.id),
        shares=PROMISED_SHARES,
    )

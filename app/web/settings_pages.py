"""Pages of settings: the people, one's own account and tokens, and the settings of a project."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from app.core.clock import now
from app.core.http.deps import Cursor, SessionDep
from app.identity import service as identity
from app.identity.deps import CanAdminister, CanManage, CanRead, PrincipalDep
from app.identity.permissions import Permission
from app.projects import rules
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.web.requests import page_router
from app.web.templating import render

PER_PAGE = 100
TOKEN_LASTS = timedelta(days=365)
# Each wider than the one before; what nobody would give alone (review without read) is not offered.
SCOPES = (Permission.READ, Permission.REVIEW, Permission.MANAGE, Permission.ADMINISTER)
BACKBONES = (
    "kizu-small",
    "ViT-B-16@openai",
    "ViT-B-16@datacomp_xl_s13b_b90k",
    "ViT-L-14@openai",
    "ViT-L-14-336@openai",
)
router = page_router()


def house_zone(session: Session) -> str:
    """People have no time zone of their own: that of most projects is the factory's."""
    every = projects.list_projects(session, include_archived=True)
    zones = Counter(project.time_zone for project in every)
    return zones.most_common(1)[0][0] if zones else "UTC"


@router.get("/settings", summary="The first page of settings", response_class=RedirectResponse)
def settings_page(principal: PrincipalDep) -> Response:
    may_administer = Permission.ADMINISTER in principal.permissions
    first = "members" if may_administer else "account"
    return RedirectResponse(f"/settings/{first}", status_code=303)


@router.get("/settings/members", summary="The people", response_class=HTMLResponse)
def members_page(
    request: Request,
    session: SessionDep,
    principal: CanAdminister,
    cursor: Cursor = None,
    person: UUID | None = None,
) -> HTMLResponse:
    """`person` comes first, opened for editing."""
    page = identity.page_of_users(session, cursor=cursor, limit=PER_PAGE)
    first = [] if person is None else [identity.get_user(session, person)]
    return render(
        request,
        "settings_members.html",
        principal=principal,
        people=first + [user for user in page.rows if user.id != person],
        opened=person,
        more=f"/settings/members?cursor={page.next_cursor}" if page.next_cursor else None,
        zone=house_zone(session),
    )


@router.get("/settings/account", summary="My account", response_class=HTMLResponse)
def account_page(
    request: Request, session: SessionDep, principal: CanRead, saved: bool = False
) -> HTMLResponse:
    user = identity.get_user(session, principal.user_id)
    return render(request, "settings_account.html", principal=principal, user=user, saved=saved)


@router.get("/settings/tokens", summary="My API tokens", response_class=HTMLResponse)
def tokens_page(
    request: Request, session: SessionDep, principal: CanRead, cursor: Cursor = None
) -> HTMLResponse:
    page = identity.page_of_tokens(session, principal.user_id, cursor=cursor, limit=PER_PAGE)
    mine = [scope for scope in SCOPES if scope in principal.permissions]
    return render(
        request,
        "settings_tokens.html",
        principal=principal,
        tokens=page.rows,
        more=f"/settings/tokens?cursor={page.next_cursor}" if page.next_cursor else None,
        scope_choices=[mine[:width] for width in range(1, len(mine) + 1)],
        now=now(),
        today=now().date(),
        next_year=(now() + TOKEN_LASTS).date(),
        zone=house_zone(session),
    )


@router.get(
    "/projects/{slug}/settings", summary="The settings of a project", response_class=HTMLResponse
)
def project_settings_page(
    request: Request, project: ProjectDep, principal: CanManage, saved: bool = False
) -> HTMLResponse:
    return render(
        request,
        "project_settings.html",
        principal=principal,
        project=project,
        saved=saved,
        backbones=BACKBONES,
        time_zones=sorted(rules.time_zones()),
        currencies=sorted(rules.currencies()),
    )

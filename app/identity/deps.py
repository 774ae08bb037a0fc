"""The auth rule of a route: `CanRead`, `CanReview`, `CanManage`, `CanAdminister`, `InPerson`.

Also the `Idempotency-Key` of routes that create, which is kept per user and route.
"""

import hashlib
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyCookie
from fastapi.security.http import HTTPAuthorizationCredentials, HTTPBase

from app.core import idempotency
from app.core.errors import NotPermitted, NotSignedIn
from app.core.http.deps import SessionDep
from app.core.http.transactions import AnswerAgain, PendingAnswer
from app.identity import service
from app.identity.permissions import Permission, Principal

SESSION_COOKIE = "kizu_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN = HTTPBase(
    scheme="bearer", scheme_name="API token", description="From `POST /tokens`.", auto_error=False
)
COOKIE = APIKeyCookie(
    name=SESSION_COOKIE,
    scheme_name="Session",
    description="From `POST /sessions`.",
    auto_error=False,
)


def get_principal(
    request: Request,
    session: SessionDep,
    authorization: Annotated[HTTPAuthorizationCredentials | None, Security(TOKEN)],
    cookie: Annotated[str | None, Security(COOKIE)],
) -> Principal:
    """Who asks: an API token (`Authorization: Bearer …`) or a browser's session cookie."""
    if authorization is not None and authorization.scheme.lower() in {"bearer", "token"}:
        return service.authenticate_token(session, authorization.credentials)
    if cookie is None:
        raise NotSignedIn("Send an API token or sign in.")
    refuse_foreign_sites(request)
    return service.authenticate_session(session, cookie)


def refuse_foreign_sites(request: Request) -> None:
    """A cookie travels with requests that other sites cause; a change must come from our pages."""
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    same_origin = origin is None or origin.split("://")[-1] == request.headers.get("host")
    if site in {"cross-site", "same-site"} or not same_origin:
        raise NotPermitted("This request came from another site.")


PrincipalDep = Annotated[Principal, Depends(get_principal)]


def principal_in_person(principal: PrincipalDep) -> Principal:
    principal.ensure_in_person()
    return principal


InPerson = Annotated[Principal, Depends(principal_in_person)]


def require(permission: Permission) -> Callable[[Principal], Principal]:
    def principal_with_permission(principal: PrincipalDep) -> Principal:
        principal.ensure(permission)
        return principal

    principal_with_permission.permission = permission  # type: ignore[attr-defined]
    return principal_with_permission


CanRead = Annotated[Principal, Depends(require(Permission.READ))]
CanReview = Annotated[Principal, Depends(require(Permission.REVIEW))]
CanManage = Annotated[Principal, Depends(require(Permission.MANAGE))]
CanAdminister = Annotated[Principal, Depends(require(Permission.ADMINISTER))]


async def read_body(request: Request) -> bytes:
    return await request.body()


def idempotent(
    request: Request,
    session: SessionDep,
    principal: PrincipalDep,
    body: Annotated[bytes, Depends(read_body)],
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="Repeat a create safely for 24 hours.")
    ] = None,
) -> None:
    """Declare on a route that creates: a repeated request gets the first one's answer."""
    if idempotency_key is None:
        return
    pending = PendingAnswer(
        user_id=principal.user_id,
        route=f"{request.method} {request.url.path}",
        key=idempotency_key,
        request_hash=hashlib.sha256(body).hexdigest(),
    )
    stored = idempotency.claim(
        session,
        user_id=pending.user_id,
        route=pending.route,
        key=pending.key,
        request_hash=pending.request_hash,
    )
    if stored is not None:
        raise AnswerAgain(stored)
    request.state.pending_answer = pending


Idempotent = Depends(idempotent)

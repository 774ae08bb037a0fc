"""Signing in and out, and the language of the pages. The only pages that are open to anybody."""

from typing import Annotated

from fastapi import Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from app.core.errors import KizuError, NotPermitted, TooManyAttempts
from app.core.http.deps import SessionDep, SettingsDep
from app.identity import service as identity
from app.identity.deps import SESSION_COOKIE, PrincipalDep
from app.web.languages import LANGUAGE_COOKIE, Language, choose_language, translations
from app.web.requests import page_router, safe_destination
from app.web.templating import render

YEAR_S = 365 * 24 * 3600
router = page_router()


@router.get("/sign-in", summary="The sign-in form", response_class=HTMLResponse)
def sign_in_page(request: Request, destination: str | None = None) -> Response:
    return _form(request, destination=safe_destination(destination))


@router.post("/sign-in", summary="Sign in with a password", response_class=HTMLResponse)
def sign_in(
    request: Request,
    session: SessionDep,
    settings: SettingsDep,
    email: Annotated[str, Form(max_length=320)],
    password: Annotated[str, Form(max_length=1024)],
    destination: Annotated[str | None, Form()] = None,
) -> Response:
    _refuse_other_sites(request)
    address = safe_destination(destination)
    try:
        cookie = identity.sign_in(session, email=email, password=password)
    except KizuError as error:
        _ = translations(choose_language(request)).gettext
        problem = _("E-mail and password do not match.")
        if isinstance(error, TooManyAttempts):
            problem = _("Too many attempts failed. Wait a few minutes, then try again.")
        return _form(
            request, destination=address, problem=problem, email=email, status=error.status
        )
    return _signed_in(cookie, address, settings)


@router.get("/sign-in/{token}", summary="A one-time sign-in link", response_class=HTMLResponse)
def link_page(request: Request, token: str) -> Response:
    """Only shows a button: mail programs open links by themselves, which must not use it up."""
    return _form(request, link_token=token)


@router.post("/sign-in/language", summary="Set the language", response_class=RedirectResponse)
def set_language(
    language: Annotated[Language, Form()], destination: Annotated[str | None, Form()] = None
) -> Response:
    answer = RedirectResponse(safe_destination(destination), status_code=303)
    answer.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, samesite="lax", httponly=True)
    return answer


@router.post("/sign-in/{token}", summary="Sign in with a link", response_class=HTMLResponse)
def sign_in_with_link(
    request: Request, token: str, session: SessionDep, settings: SettingsDep
) -> Response:
    _refuse_other_sites(request)
    try:
        cookie = identity.sign_in_with_link(session, token)
    except KizuError:
        _ = translations(choose_language(request)).gettext
        problem = _("This link was used before, or is too old. Ask for a new one.")
        return _form(request, problem=problem, status=401)
    return _signed_in(cookie, "/projects", settings)


@router.post("/sign-out", summary="Sign out", response_class=RedirectResponse)
def sign_out(request: Request, session: SessionDep, principal: PrincipalDep) -> Response:
    if principal.session_hash is not None:
        identity.sign_out(session, request.cookies[SESSION_COOKIE])
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(SESSION_COOKIE)
    return answer


def _form(
    request: Request,
    *,
    destination: str = "/projects",
    problem: str | None = None,
    email: str = "",
    link_token: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    return render(
        request,
        "sign_in.html",
        status=status,
        destination=destination,
        problem=problem,
        email=email,
        link_token=link_token,
    )


def _signed_in(cookie: str, destination: str, settings: SettingsDep) -> Response:
    answer = RedirectResponse(destination, status_code=303)
    answer.set_cookie(
        SESSION_COOKIE,
        cookie,
        max_age=settings.session_days * 24 * 3600,
        httponly=True,
        samesite="lax",
        secure=settings.cookie_secure,
    )
    return answer


def _refuse_other_sites(request: Request) -> None:
    """Another site must not sign a person in as somebody else."""
    if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        raise NotPermitted("This request came from another site.")

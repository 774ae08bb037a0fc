"""Errors as people in a browser need them: a page with a way on, or the way to sign in.

Programs, and everything under the API, still get problem documents.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from app.core.errors import KizuError, NotSignedIn
from app.web.templating import render

Answer = Callable[[Request, Exception], Any]
SHOWN = (KizuError, RequestValidationError, HTTPException, Exception)


def show_errors_as_pages(app: FastAPI) -> None:
    """Call after the problem handlers are installed: browsers get pages, others what they got."""
    for kind in SHOWN:
        app.add_exception_handler(kind, _for_browsers(app.exception_handlers[kind]))


def _for_browsers(otherwise: Answer) -> Answer:
    def answer(request: Request, error: Exception) -> Response:
        if not _is_for_people(request):
            response: Response = otherwise(request, error)
            return response
        if isinstance(error, NotSignedIn):
            return RedirectResponse(_sign_in_address(request), status_code=303)
        status = _status(error)
        if status >= 500:
            otherwise(request, error)
        return render(
            request, "error.html", status=status, error_status=status, detail=_detail(error)
        )

    return answer


def _is_for_people(request: Request) -> bool:
    wants_page = "text/html" in request.headers.get("accept", "")
    return wants_page and not request.url.path.startswith("/api/")


def _sign_in_address(request: Request) -> str:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?destination={quote(here if request.method == 'GET' else '/')}"


def _status(error: Exception) -> int:
    if isinstance(error, KizuError):
        return error.status
    if isinstance(error, HTTPException):
        return error.status_code
    return 422 if isinstance(error, RequestValidationError) else 500


def _detail(error: Exception) -> str | None:
    return error.detail if isinstance(error, KizuError) else None

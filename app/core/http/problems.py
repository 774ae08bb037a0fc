"""Every error leaves as an RFC 9457 problem document, 422 and unknown routes included."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from app.core import errors

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
REFERENCE = "#/components/schemas/{model}"
PROBLEM_SCHEMA = {"$ref": REFERENCE.format(model="Problem")}
HTTP_CODES = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}


class FieldError(BaseModel):
    pointer: str = Field(examples=["#/labels/2"])
    detail: str = Field(examples=["unknown label"])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/stale"])
    title: str = Field(examples=["Somebody changed it in the meantime"])
    status: int = Field(examples=[412])
    detail: str = Field(examples=['ETag "9" is current, "7" was sent.'])
    instance: str = Field(examples=["/api/v1/projects/boards/labels/scratch"])
    request_id: str | None = None
    errors: list[FieldError] | None = None


class ProblemApi(FastAPI):
    """An API whose errors are problems, in its description too.

    FastAPI would describe a model of an error under the media type of the route's success.
    """

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template=REFERENCE)
        schemas |= problem.pop("$defs") | {Problem.__name__: problem}
        return document


def responses(*kinds: type[errors.KizuError]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: those errors, plus what any signed-in route can answer."""
    return open_responses(
        errors.NotSignedIn, errors.NotPermitted, errors.Invalid, *kinds, errors.Unavailable
    )


def open_responses(*kinds: type[errors.KizuError]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that anybody may call: those errors alone."""
    return {
        kind.status: {
            "description": kind.title,
            "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA, "example": _example(kind)}},
        }
        for kind in kinds
    }


def _example(kind: type[errors.KizuError]) -> dict[str, Any]:
    return {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title + ".",
        "instance": "/api/v1/…",
    }


def problem_response(
    request: Request, *, code: str, title: str, status: int, detail: str, **extra: Any
) -> JSONResponse:
    body = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "request_id": getattr(request.state, "request_id", None),
        **extra,
    }
    return JSONResponse(
        body, status_code=status, media_type=MEDIA_TYPE, headers=_headers(status, extra)
    )


def _headers(status: int, extra: dict[str, Any]) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if status == 503:
        return {"Retry-After": "5"}
    if "retry_after" in extra:
        return {"Retry-After": str(extra["retry_after"])}
    return {}


def install_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(errors.KizuError, _kizu_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(OperationalError, _database_error)
    app.add_exception_handler(PoolTimeout, _database_error)
    app.add_exception_handler(DataError, _data_error)
    app.add_exception_handler(Exception, _unexpected)


def _kizu_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.KizuError)
    return problem_response(
        request,
        code=error.code,
        title=error.title,
        status=error.status,
        detail=error.detail,
        **error.extra,
    )


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [
        {"pointer": "#/" + "/".join(str(part) for part in item["loc"][1:]), "detail": item["msg"]}
        for item in error.errors()
    ]
    detail = "; ".join(f"{f['pointer']}: {f['detail']}" for f in fields)
    return _kizu_error(request, errors.Invalid(detail, errors=fields))


def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = problem_response(
        request,
        code=HTTP_CODES.get(error.status_code, "http-error"),
        title=str(error.detail),
        status=error.status_code,
        detail=f"{request.method} {request.url.path}: {error.detail}.",
    )
    response.headers.update(error.headers or {})
    return response


def _database_error(request: Request, error: Exception) -> JSONResponse:
    log.error("database does not answer", error=str(error))
    return _kizu_error(request, errors.Unavailable("The database does not answer. Try again."))


def _data_error(request: Request, error: Exception) -> JSONResponse:
    """Text that PostgreSQL cannot hold (a NUL character), or a number beyond its column."""
    assert isinstance(error, DataError)
    if error.statement is None:  # it was kept, and cannot be read: no fault of this request
        return _unexpected(request, error)
    log.warning("the database refused a value", error=str(error))
    return _kizu_error(request, errors.Invalid("The database cannot hold a value that was sent."))


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", path=request.url.path, exc_info=error)
    return _kizu_error(request, errors.KizuError("Kizu met an error of its own; it is in the log."))

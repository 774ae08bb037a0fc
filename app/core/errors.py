"""Errors of the business: each knows its HTTP status and a stable code, but nothing of HTTP itself.

`core.http.problems` turns them into RFC 9457 problem documents; the CLI prints their detail.
"""

from typing import Any, ClassVar


class KizuError(Exception):
    """Base of every expected failure. `extra` members are added to the problem document."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class Invalid(KizuError):
    status, code, title = 422, "invalid", "The request is not valid"


class BadRequest(KizuError):
    status, code, title = 400, "bad-request", "The request cannot be read"


class NotSignedIn(KizuError):
    status, code, title = 401, "not-signed-in", "Sign in first"


class NotPermitted(KizuError):
    status, code, title = 403, "not-permitted", "You may not do this"


class NotFound(KizuError):
    status, code, title = 404, "not-found", "There is no such thing"


class Conflict(KizuError):
    status, code, title = 409, "conflict", "The state does not allow this"


class Stale(KizuError):
    status, code, title = 412, "stale", "Somebody changed it in the meantime"


class PreconditionRequired(KizuError):
    status, code, title = 428, "precondition-required", "Send If-Match with the ETag you read"


class TooLarge(KizuError):
    status, code, title = 413, "too-large", "The request is too large"


class TooManyAttempts(KizuError):
    status, code, title = 429, "too-many-attempts", "Wait before you try again"


class OutOfSpace(KizuError):
    status, code, title = 507, "out-of-space", "The disk is full"


class Unavailable(KizuError):
    status, code, title = 503, "unavailable", "A service Kizu needs does not answer"

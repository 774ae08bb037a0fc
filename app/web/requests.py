"""What page routes share: their router, and addresses: of further photos, after signing in."""

from fastapi import APIRouter, Request

from app.core.http.transactions import TransactionalRoute


def page_router(prefix: str = "") -> APIRouter:
    """Routes of pages: one transaction each, left out of the API's documentation."""
    return APIRouter(prefix=prefix, route_class=TransactionalRoute, include_in_schema=False)


def safe_destination(wished: str | None) -> str:
    """An address on this site; anything else, which a forged link could name, becomes the start."""
    if wished and wished.startswith("/") and not wished.startswith(("//", "/\\")):
        return wished
    return "/projects"


def address_with(request: Request, **changes: str) -> str:
    """This address from its first page on, with some parameters changed, without the host."""
    plain = request.url.remove_query_params(["cursor", "waited"])
    return str(plain.include_query_params(**changes).replace(scheme="", netloc=""))

"""What page routes share: the router of a page, and where a person goes after signing in."""

from fastapi import APIRouter

from app.core.http.transactions import TransactionalRoute


def page_router(prefix: str = "") -> APIRouter:
    """Routes of pages: one transaction each, left out of the API's documentation."""
    return APIRouter(prefix=prefix, route_class=TransactionalRoute, include_in_schema=False)


def safe_destination(wished: str | None) -> str:
    """An address on this site; anything else, which a forged link could name, becomes the start."""
    if wished and wished.startswith("/") and not wished.startswith(("//", "/\\")):
        return wished
    return "/projects"

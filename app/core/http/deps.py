"""Dependencies that know no product words: session, settings, store, paging, entity tags."""

from typing import Annotated

from fastapi import Depends, Header, Query, Request
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.core.errors import PreconditionRequired, Stale
from app.core.pagination import MAX_LIMIT
from app.core.storage import Blobs


def get_session(request: Request) -> Session:
    session: Session = request.state.session
    return session


def get_app_settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def get_store(request: Request) -> Blobs:
    store: Blobs = request.app.state.store
    return store


SessionDep = Annotated[Session, Depends(get_session)]
SettingsDep = Annotated[Settings, Depends(get_app_settings)]
StoreDep = Annotated[Blobs, Depends(get_store)]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Rows per page.")]
IfMatch = Annotated[str | None, Header(description="The ETag that was read before this edit.")]
IfNoneMatch = Annotated[str | None, Header(description="The ETag of the copy you hold.")]


def etag(version: int) -> str:
    return f'"{version}"'


def check_if_match(if_match: str | None, version: int) -> None:
    """Raise unless the editor saw the current version (428 when it did not say, 412 when not)."""
    if if_match is None:
        raise PreconditionRequired("Send the ETag of what you read as If-Match.")
    if if_match not in {etag(version), "*"}:
        raise Stale(f"ETag {etag(version)} is current, {if_match} was sent.", current=version)

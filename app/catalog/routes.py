"""HTTP of the catalog: list, look at and delete images."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.annotations import service as annotations
from app.catalog import search, service
from app.catalog.schemas import (
    CatalogItem,
    ListingQuery,
    SearchOut,
    SearchQuery,
    describe,
    describe_found,
)
from app.catalog.search import SearchState
from app.core.errors import BadRequest, Conflict, NotFound, PreconditionRequired, Stale
from app.core.http.deps import IfMatch, SessionDep, check_if_match, etag
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page
from app.identity.deps import CanManage, CanRead
from app.images import service as images
from app.projects.deps import ProjectDep

router = make_router("/projects/{slug}/images", "Images")


@router.get(
    "",
    summary="Find images by label, state, split, capture data, date or progress",
    response_model=Page[CatalogItem],
    responses=responses(NotFound, BadRequest),
)
def list_images(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[ListingQuery, Query()],
) -> Page[CatalogItem]:
    """All filters must hold; a page's `next_cursor` asks for the next one."""
    keys = annotations.label_keys(session, project.id)
    page = service.list_images(
        session,
        project.id,
        query.to_filter({key: label_id for label_id, key in keys.items()}),
        order=query.sort,
        cursor=query.cursor,
        limit=query.limit,
        is_folded=query.fold,
    )
    return Page(items=[describe(entry, keys) for entry in page.rows], next_cursor=page.next_cursor)


@router.get(
    "/search",
    summary="Find images by what they look like",
    response_model=SearchOut,
    responses={**responses(NotFound, Conflict), 202: {"model": SearchOut}},
)
def search_images(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    response: Response,
    query: Annotated[SearchQuery, Query()],
) -> SearchOut:
    """The best matches among the images that the filters let through. 202 with `pending` when a
    worker is asked first; 503 where the database has no pgvector."""
    keys = annotations.label_keys(session, project.id)
    wanted = query.to_filter({key: label_id for label_id, key in keys.items()})
    if query.similar_to is not None:
        found = search.like_image(session, project, wanted, query.similar_to, limit=query.limit)
    elif query.text is not None:
        found = search.by_text(session, project, wanted, query.text, limit=query.limit)
    else:
        found = search.by_prompts(session, project, wanted, query.prompt, limit=query.limit)
    if found.state is SearchState.PENDING:
        response.status_code = 202
    return describe_found(found, keys)


@router.get(
    "/{image_id}",
    summary="One image, with what is known and suggested about its labels",
    response_model=CatalogItem,
    responses=responses(NotFound),
)
def get_image(
    project: ProjectDep,
    image_id: UUID,
    session: SessionDep,
    principal: CanRead,
    response: Response,
) -> CatalogItem:
    entry = service.get_entry(session, project.id, image_id)
    response.headers["etag"] = etag(entry.image.version)
    return describe(entry, annotations.label_keys(session, project.id))


@router.delete(
    "/{image_id}",
    summary="Delete an image",
    status_code=204,
    responses=responses(NotFound, Conflict, Stale, PreconditionRequired),
)
def delete_image(
    *,
    project: ProjectDep,
    image_id: UUID,
    session: SessionDep,
    principal: CanManage,
    if_match: IfMatch = None,
) -> None:
    """It disappears at once for everybody; its bytes are purged later."""
    image = images.hold_image(session, project.id, image_id)
    check_if_match(if_match, image.version)
    service.delete_image(session, project.id, image, actor_id=principal.user_id)

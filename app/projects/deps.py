"""The project that a path names: `ProjectDep`. 404 when there is none, or it was deleted."""

from typing import Annotated

from fastapi import Depends, Path, Request

from app.core.errors import Conflict
from app.core.http.deps import SessionDep
from app.identity.deps import SAFE_METHODS, PrincipalDep
from app.projects import service
from app.projects.models import Project

Slug = Annotated[str, Path(description="The project's short name.", examples=["boards"])]


def get_any_project(slug: Slug, session: SessionDep, principal: PrincipalDep) -> Project:
    """Who asks comes first: a stranger does not learn which projects there are."""
    return service.get_project(session, slug)


AnyProjectDep = Annotated[Project, Depends(get_any_project)]


def get_project(request: Request, project: AnyProjectDep) -> Project:
    """An archived project can be read; a change needs it back from the archive first."""
    if project.archived_at is not None and request.method not in SAFE_METHODS:
        raise Conflict(f"The project '{project.slug}' is archived; nothing in it changes.")
    return project


ProjectDep = Annotated[Project, Depends(get_project)]

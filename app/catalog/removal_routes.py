"""HTTP of removal: delete a project, put a label into the archive and bring it back."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, Field

from app.catalog import removal
from app.core.errors import Conflict, NotFound, PreconditionRequired, Stale
from app.core.http.deps import IfMatch, SessionDep, check_if_match, etag
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.identity.deps import CanAdminister, CanManage
from app.projects import service as projects
from app.projects.deps import AnyProjectDep, ProjectDep
from app.projects.models import Label
from app.projects.schemas import LabelOut

router = make_router("/projects/{slug}", "Projects")
ARCHIVE_ERRORS = responses(NotFound, Conflict, Stale, PreconditionRequired)


class DeletionOut(BaseModel):
    job_id: UUID = Field(description="The job that removes rows and bytes.")


@router.delete(
    "",
    summary="Delete a project with everything in it",
    status_code=202,
    response_model=DeletionOut,
    responses=responses(NotFound),
)
def delete_project(
    project: AnyProjectDep,
    session: SessionDep,
    principal: CanAdminister,
    response: Response,
    confirm: Annotated[str | None, Query(description="The project's slug, once more.")] = None,
) -> DeletionOut:
    """It disappears at once for everybody and its slug is free; a job removes its photos, labels,
    statements and models. The audit trail stays."""
    job = removal.delete_project(session, project, confirm=confirm, actor_id=principal.user_id)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return DeletionOut(job_id=job.id)


@router.post(
    "/labels/{key}/archive",
    summary="Put a label away",
    response_model=LabelOut,
    responses=ARCHIVE_ERRORS,
)
def archive_label(
    *,
    project: ProjectDep,
    key: str,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    if_match: IfMatch = None,
) -> Label:
    """What people said with it stays; nothing asks for it any more."""
    projects.hold_project(session, project.id)
    label = projects.get_label(session, project.id, key)
    check_if_match(if_match, label.version)
    label = removal.archive_label(session, label, is_archived=True, actor_id=principal.user_id)
    response.headers["etag"] = etag(label.version)
    return label


@router.post(
    "/labels/{key}/unarchive",
    summary="Bring a label back",
    response_model=LabelOut,
    responses=ARCHIVE_ERRORS,
)
def unarchive_label(
    *,
    project: ProjectDep,
    key: str,
    session: SessionDep,
    principal: CanManage,
    response: Response,
    if_match: IfMatch = None,
) -> Label:
    """409 when its hotkey belongs to another label by now: change that one first."""
    projects.hold_project(session, project.id)
    label = projects.get_label(session, project.id, key)
    check_if_match(if_match, label.version)
    label = removal.archive_label(session, label, is_archived=False, actor_id=principal.user_id)
    response.headers["etag"] = etag(label.version)
    return label

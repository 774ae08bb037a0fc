"""Pages of jobs: what runs, how far it is, its log; where a training is started."""

from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.core.errors import NotFound
from app.core.http.deps import SessionDep
from app.identity.deps import CanRead
from app.jobs import service as jobs
from app.jobs.models import JobState
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.web.requests import page_router
from app.web.templating import render

ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})
router = page_router("/projects/{slug}/jobs")


@router.get("", summary="The jobs of a project", response_class=HTMLResponse)
def jobs_page(
    request: Request, project: ProjectDep, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    page = jobs.list_jobs(session, project_id=project.id)
    return render(
        request,
        "jobs.html",
        principal=principal,
        project=project,
        jobs=page.rows,
        active=ACTIVE,
        lenders=[other for other in projects.list_projects(session) if other.id != project.id],
    )


@router.get("/{job_id}", summary="One job", response_class=HTMLResponse)
def job_page(
    request: Request, project: ProjectDep, job_id: UUID, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    job = jobs.get_job(session, job_id)
    if job.project_id != project.id:
        raise NotFound("This project has no such job.")
    return render(request, "job.html", principal=principal, project=project, job=job, active=ACTIVE)

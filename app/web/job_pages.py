"""Pages of jobs: what runs, how far it is, its log; where a training is started."""

from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.core.http.deps import SessionDep, SettingsDep
from app.identity import service as identity
from app.identity.deps import CanRead
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.projects import service as projects
from app.projects.deps import ProjectDep
from app.projects.models import Label
from app.training import service as training
from app.training.models import ModelVersion
from app.web.charts import figure
from app.web.requests import page_router
from app.web.templating import render

ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})
router = page_router("/projects/{slug}/jobs")


@router.get("", summary="The jobs of a project", response_class=HTMLResponse)
def jobs_page(
    request: Request,
    project: ProjectDep,
    session: SessionDep,
    settings: SettingsDep,
    principal: CanRead,
) -> HTMLResponse:
    page = jobs.list_jobs(session, project_id=project.id)
    live = training.live_version(session, project.id)
    known = set(live.label_ids) if live else set()
    labels = projects.list_labels(session, project.id)
    return render(
        request,
        "jobs.html",
        principal=principal,
        project=project,
        jobs=page.rows,
        active=ACTIVE,
        live=live,
        new_labels=[label for label in labels if live and str(label.id) not in known],
        cpu_minutes=settings.train_cpu_seconds / 60,
        lenders=[other for other in projects.list_projects(session) if other.id != project.id],
    )


@router.get("/{job_id}", summary="One job", response_class=HTMLResponse)
def job_page(
    request: Request, project: ProjectDep, job_id: UUID, session: SessionDep, principal: CanRead
) -> HTMLResponse:
    job = jobs.get_job(session, job_id)
    if job.project_id != project.id:
        raise NotFound("This project has no such job.")
    made = made_by(session, job)
    return render(
        request,
        "job.html",
        principal=principal,
        project=project,
        job=job,
        active=ACTIVE,
        asker=identity.names_of(session, [job.created_by]).get(job.created_by)
        if job.created_by
        else None,
        made=made,
        total=figure(made.metrics.get("map")) if made else None,
        labels=known_labels(session, made) if made else [],
    )


def made_by(session: Session, job: Job) -> ModelVersion | None:
    """The version that a training made; None for every other job, and as long as there is none."""
    if job.kind != JobKind.TRAIN or job.project_id is None or not job.result:
        return None
    version_id = job.result.get("model_version_id")
    return training.get_version(session, job.project_id, UUID(version_id)) if version_id else None


def known_labels(session: Session, version: ModelVersion) -> list[Label]:
    """The labels of a version, as they are called now and in the project's order."""
    every = projects.list_labels(session, version.project_id, include_archived=True)
    return [label for label in every if str(label.id) in version.label_ids]

"""Rules of removal: labels go into the archive, projects and photos go for good, later."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.catalog import purging
from app.core.clock import now
from app.core.errors import Conflict, Invalid
from app.jobs import service as jobs
from app.jobs.contracts import PurgePayload
from app.jobs.models import Job, JobKind, JobState
from app.projects import service as projects
from app.projects.models import Label, Project
from app.pseudolabels import service as pseudolabels

ACTIVE = (JobState.QUEUED, JobState.RUNNING)
NOT_AGAIN_WITHIN = timedelta(hours=1)


def archive_label(
    session: Session, label: Label, *, is_archived: bool, actor_id: UUID | None
) -> Label:
    """Put a label away, with what models ask about it, or bring it back. Statements stay."""
    label = projects.archive_label(session, label, is_archived=is_archived, actor_id=actor_id)
    if is_archived:
        pseudolabels.supersede_label(session, label.project_id, label.id)
    return label


def delete_project(
    session: Session, project: Project, *, confirm: str | None, actor_id: UUID | None
) -> Job:
    """Hide a project from everybody, stop its jobs, and have its rows and bytes purged.

    `confirm` repeats the slug: a wrong address alone must not delete anything.
    """
    if confirm != project.slug:
        raise Invalid(
            f"Say ?confirm={project.slug} to delete the project with all its photos and labels.",
            errors=[{"pointer": "#/confirm", "detail": "not the project's slug"}],
        )
    project = projects.hold_project(session, project.id)
    _cancel_jobs(session, project.id)
    projects.hide_project(session, project, actor_id=actor_id)
    return _purge(session, PurgePayload(project_id=project.id), actor_id)


def purge_hidden(session: Session, *, older_than: timedelta) -> Job | None:
    """Have everything purged that was deleted so long ago; None when there is nothing to do, or
    it is being done."""
    moment = now() - older_than
    is_due = purging.has_photos(session, purging.hidden_before(moment)) or purging.left_over(
        session, moment
    )
    if not is_due or _was_asked(session):
        return None
    return _purge(session, PurgePayload(before=moment), None)


def _purge(session: Session, payload: PurgePayload, actor_id: UUID | None) -> Job:
    return jobs.create_job(
        session,
        kind=JobKind.PURGE,
        project_id=payload.project_id,
        payload=payload,
        created_by=actor_id,
    )


def _cancel_jobs(session: Session, project_id: UUID) -> None:
    for state in ACTIVE:
        cursor: str | None = None
        while True:
            page = jobs.list_jobs(
                session, project_id=project_id, state=state, cursor=cursor, limit=500
            )
            for job in page.rows:
                _cancel(session, job)
            cursor = page.next_cursor
            if cursor is None:
                break


def _cancel(session: Session, job: Job) -> None:
    try:
        jobs.request_cancel(session, job)
    except Conflict:
        return  # It has ended by itself in the meantime.


def _was_asked(session: Session) -> bool:
    """Whether this is being done, or was asked for so lately that asking again brings nothing."""
    newest = jobs.list_jobs(session, kind=JobKind.PURGE, limit=100).rows
    return any(
        job.project_id is None
        and (job.state in ACTIVE or job.created_at > now() - NOT_AGAIN_WITHIN)
        for job in newest
    )

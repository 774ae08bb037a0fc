"""HTTP of jobs: list, read, cancel, read the log, follow live."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.core.errors import BadRequest, Conflict, NotFound
from app.core.http.deps import SessionDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.pagination import Page, Slice
from app.identity.deps import CanManage, CanRead
from app.jobs import events, service
from app.jobs.models import Job
from app.jobs.schemas import (
    JobDetailOut,
    JobOut,
    JobQuery,
    LogLineOut,
    LogQuery,
    Order,
)
from app.projects.deps import ProjectDep

router = make_router("", "Jobs")


@router.get(
    "/jobs",
    summary="List the jobs of all projects, newest first",
    response_model=Page[JobOut],
    responses=responses(BadRequest),
)
def list_jobs(
    session: SessionDep, principal: CanRead, query: Annotated[JobQuery, Query()]
) -> Page[JobOut]:
    return _page(service.list_jobs(session, **query.model_dump()))


@router.get(
    "/projects/{slug}/jobs",
    summary="List the jobs of a project, newest first",
    response_model=Page[JobOut],
    responses=responses(NotFound, BadRequest),
)
def list_project_jobs(
    project: ProjectDep,
    session: SessionDep,
    principal: CanRead,
    query: Annotated[JobQuery, Query()],
) -> Page[JobOut]:
    return _page(service.list_jobs(session, project_id=project.id, **query.model_dump()))


@router.get(
    "/jobs/{job_id}",
    summary="Read one job and the end of its log",
    response_model=JobDetailOut,
    responses=responses(NotFound),
)
def get_job(job_id: UUID, session: SessionDep, principal: CanRead) -> JobDetailOut:
    job = service.get_job(session, job_id)
    lines = [LogLineOut.model_validate(line) for line in service.log_tail(session, job_id)]
    return JobDetailOut(**JobOut.model_validate(job).model_dump(), log=lines)


@router.post(
    "/jobs/{job_id}/cancel",
    summary="Cancel a job",
    description="A queued job is cancelled at once, a running one as soon as its worker stops.",
    status_code=202,
    response_model=JobOut,
    responses=responses(NotFound, Conflict),
)
def cancel_job(job_id: UUID, session: SessionDep, principal: CanManage) -> JobOut:
    job = service.request_cancel(session, service.get_job(session, job_id))
    return JobOut.model_validate(job)


@router.get(
    "/jobs/{job_id}/log",
    summary="Read the log of a job",
    response_model=Page[LogLineOut],
    responses=responses(NotFound, BadRequest),
)
def get_log(
    job_id: UUID, session: SessionDep, principal: CanRead, query: Annotated[LogQuery, Query()]
) -> Page[LogLineOut]:
    service.get_job(session, job_id)
    found = service.list_log(
        session,
        job_id,
        newest_first=query.order == Order.NEWEST,
        cursor=query.cursor,
        limit=query.limit,
    )
    items = [LogLineOut.model_validate(line) for line in found.rows]
    return Page(items=items, next_cursor=found.next_cursor)


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job live (Server-Sent Events)",
    description="An event `job` with the job as JSON whenever it changed. The stream ends with "
    "the job, or after ten minutes; browsers then resume by themselves with `Last-Event-ID`.",
    response_class=StreamingResponse,
    responses={
        **responses(NotFound),
        200: {"content": {"text/event-stream": {}}, "description": "The stream."},
        204: {"description": "The job has ended and its end was delivered."},
    },
)
def follow_job(
    request: Request,
    job_id: UUID,
    session: SessionDep,
    principal: CanRead,
    last_event_id: Annotated[str | None, Header(description="Where to resume.")] = None,
) -> Response:
    snapshot = events.snapshot_of(service.get_job(session, job_id))
    if snapshot.is_last and snapshot.id == last_event_id:
        return Response(status_code=204)
    stream = events.stream(request.app.state.sessions, job_id, delivered=last_event_id)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


def _page(found: Slice[Job]) -> Page[JobOut]:
    items = [JobOut.model_validate(job) for job in found.rows]
    return Page(items=items, next_cursor=found.next_cursor)

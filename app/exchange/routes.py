"""HTTP of exchange: send a file in, order an export, fetch it."""

from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from app.core.db import transaction
from app.core.errors import BadRequest, Conflict, Invalid, NotFound, OutOfSpace, TooLarge
from app.core.http.deps import SessionDep, SettingsDep, StoreDep
from app.core.http.problems import responses
from app.core.http.transactions import make_router
from app.core.http.uploads import received_form
from app.core.multipart import Form, FormLimits, ReceivedFile
from app.exchange import service
from app.exchange.detection import ImportFormat
from app.exchange.schemas import ExportIn, ImportOptions
from app.identity.deps import CanManage, CanRead, Idempotent
from app.jobs.models import Job
from app.jobs.schemas import JobOut
from app.projects.deps import ProjectDep

router = make_router("/projects/{slug}", "Import and export")

FILE_FIELD = "file"
OPTION_FIELDS = {
    "create_labels": "boolean",
    "default_split": "string",
    "unlisted_absent": "boolean",
}


def description(name: str) -> str:
    return ImportOptions.model_fields[name].description or ""


IMPORT_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_FIELD],
                    "properties": {
                        FILE_FIELD: {
                            "type": "string",
                            "format": "binary",
                            "description": "A zip, a CSV or a JSON file.",
                        },
                        "format": {"type": "string", "enum": list(ImportFormat), "default": "auto"},
                        **{
                            name: {"type": kind, "description": description(name)}
                            for name, kind in OPTION_FIELDS.items()
                        },
                    },
                }
            }
        },
    }
}


@router.post(
    "/imports",
    summary="Take in photos and labels from a file of another tool, or of Kizu",
    status_code=202,
    response_model=JobOut,
    responses=responses(NotFound, Conflict, BadRequest, TooLarge, OutOfSpace),
    openapi_extra=IMPORT_FORM,
)
async def start_import(
    *,
    project: ProjectDep,
    request: Request,
    response: Response,
    session: SessionDep,
    settings: SettingsDep,
    store: StoreDep,
    principal: CanManage,
) -> JobOut:
    """A zip, a CSV or a JSON file. Sending it twice changes nothing the second time, so this
    needs no `Idempotency-Key`. The job's result says what became of each part."""
    await run_in_threadpool(session.commit)  # no connection is held while bytes trickle in
    limits = FormLimits(1, settings.upload_max_bytes)
    async with received_form(request, settings, limits) as form:
        file, options = _file_of(form), _options_of(form)

        def keep() -> JobOut:
            with transaction(request.app.state.sessions) as own_session:
                job = service.request_import(
                    own_session, store, project, file, options, actor_id=principal.user_id
                )
                return _accepted(job, response)

        return await run_in_threadpool(keep)


def _file_of(form: Form) -> ReceivedFile:
    files = form.files.get(FILE_FIELD, [])
    if len(files) != 1:
        raise Invalid(f"Send one file in the form field `{FILE_FIELD}`.")
    return files[0]


def _options_of(form: Form) -> ImportOptions:
    given = {name: value for name, value in form.fields.items() if value.strip()}
    try:
        return ImportOptions.model_validate(given)
    except ValidationError as error:
        fields = [
            {"pointer": "#/" + "/".join(map(str, e["loc"])), "detail": e["msg"]}
            for e in error.errors(include_url=False, include_input=False)
        ]
        detail = "; ".join(f"{field['pointer']}: {field['detail']}" for field in fields)
        raise Invalid(detail, errors=fields) from error


@router.post(
    "/exports",
    summary="Write photos and labels to a file that other tools read",
    status_code=202,
    response_model=JobOut,
    responses=responses(NotFound, Conflict),
    dependencies=[Idempotent],
)
def start_export(
    project: ProjectDep,
    body: ExportIn,
    session: SessionDep,
    principal: CanManage,
    response: Response,
) -> JobOut:
    """Fetch the file under `exports/{job_id}/file` when the job has succeeded."""
    job = service.request_export(session, project, body, actor_id=principal.user_id)
    return _accepted(job, response)


@router.get(
    "/exports/{job_id}/file",
    summary="Fetch the file of an export",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "The file"},
        **responses(NotFound, Conflict),
    },
)
def download_export(
    project: ProjectDep,
    job_id: UUID,
    session: SessionDep,
    store: StoreDep,
    principal: CanRead,
) -> StreamingResponse:
    """409 while the job is at work, and when it failed."""
    found = service.finished_export(session, project.id, job_id)
    size = store.size(found.blob_key)
    if size is None:
        raise NotFound("The file of this export was removed.")
    headers = {
        "content-disposition": f'attachment; filename="{found.file_name}"',
        "content-length": str(size),
        "cache-control": "private, no-store",
    }
    stream = store.stream(found.blob_key)
    return StreamingResponse(stream, media_type=found.media_type, headers=headers)


def _accepted(job: Job, response: Response) -> JobOut:
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return JobOut.model_validate(job)

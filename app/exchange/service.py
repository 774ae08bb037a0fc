"""Rules of exchange: what a request for an import or an export leaves behind, and doing them.

The work is done in a job, or by `kizu import` and `kizu export` in a terminal; both call
`run_import` and `run_export`.
"""

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.clock import now
from app.core.errors import Conflict, NotFound
from app.core.multipart import ReceivedFile
from app.core.storage import ObjectStore
from app.exchange import exporting, importing, repository
from app.exchange.bundles import opened
from app.exchange.exporting import Source, Written
from app.exchange.importing import Site
from app.exchange.schemas import ExportIn, ImportOptions, ImportReport
from app.jobs import service as jobs
from app.jobs.contracts import ExportPayload, FileResult, ImportPayload
from app.jobs.models import Job, JobKind, JobState
from app.projects.models import Project

CLEARED_AT_ONCE = 50
WITH_A_FILE = (JobKind.EXPORT, JobKind.EXPORT_MODEL)


def request_import(
    session: Session,
    store: ObjectStore,
    project: Project,
    file: ReceivedFile,
    options: ImportOptions,
    *,
    actor_id: UUID,
) -> Job:
    """Keep the file and start the job that takes it in. It goes when the job has ended."""
    payload = ImportPayload(
        format=options.format,
        blob_key="",
        file_name=file.file_name,
        options=options.model_dump(mode="json"),
    )
    job = jobs.create_job(
        session,
        kind=JobKind.IMPORT,
        project_id=project.id,
        payload=payload,
        created_by=actor_id,
    )
    key = f"jobs/{job.id}/upload"
    job.payload = {**job.payload, "blob_key": key}
    session.flush()
    store.put_file(key, file.path)
    return job


def request_export(session: Session, project: Project, wanted: ExportIn, *, actor_id: UUID) -> Job:
    payload = ExportPayload(
        format=wanted.format, split=wanted.split, options=wanted.model_dump(mode="json")
    )
    return jobs.create_job(
        session,
        kind=JobKind.EXPORT,
        project_id=project.id,
        payload=payload,
        created_by=actor_id,
    )


def run_import(path: Path, options: ImportOptions, site: Site, *, name: str) -> ImportReport:
    """Take in what lies at `path`, a file or a folder, which its sender called `name`."""
    site.workdir.mkdir(parents=True, exist_ok=True)
    with opened(path, name) as bundle:
        return importing.run_import(bundle, options, site)


def fetch_upload(store: ObjectStore, payload: ImportPayload, folder: Path) -> Path:
    """The uploaded file on this machine's disk. It stays there for the next attempt."""
    path, draft = folder / "upload", folder / "upload.part"
    if not path.exists():
        with draft.open("wb") as copy:
            copy.writelines(store.stream(payload.blob_key))
        draft.replace(path)
    return path


def run_export(source: Source, path: Path) -> Written:
    """Write a project to the file `path`, which appears when it is whole."""
    draft = path.with_name(f"{path.name}.part")
    try:
        written = exporting.export(source, draft)
        shutil.move(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return written


def recent_jobs(session: Session, project_id: UUID, *, limit: int = 20) -> list[Job]:
    """The newest imports and exports of a project, whatever became of them."""
    found = [
        job
        for kind in (JobKind.IMPORT, JobKind.EXPORT)
        for job in jobs.list_jobs(session, project_id=project_id, kind=kind, limit=limit).rows
    ]
    return sorted(found, key=lambda job: job.created_at, reverse=True)[:limit]


def finished_export(session: Session, project_id: UUID, job_id: UUID) -> FileResult:
    """The file of an export, of photos and labels or of a model.

    Raises `NotFound`, and `Conflict` while there is none.
    """
    job = jobs.get_job(session, job_id)
    if job.project_id != project_id or job.kind not in WITH_A_FILE:
        raise NotFound("This project has no such export.")
    if job.state != JobState.SUCCEEDED or job.result is None:
        raise Conflict(f"The export is {job.state}; its file is there once it has succeeded.")
    return FileResult.model_validate(job.result)


def remove_files(session: Session, store: ObjectStore, keep: timedelta) -> None:
    """Delete what some ended imports and exports left; an export's file once it is older than
    `keep`. Jobs that were cancelled or given up while they waited had no worker to tidy up."""
    jobs_to_clear = repository.lock_jobs_with_files(session, now() - keep, limit=CLEARED_AT_ONCE)
    for job in jobs_to_clear:
        for key in list(store.keys(f"jobs/{job.id}")):
            store.delete(key)
        job.files_removed_at = now()
    session.flush()

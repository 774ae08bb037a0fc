"""An export, as a job: written to the work folder, then stored where only this attempt writes."""

from typing import Any

from app.exchange import service as exchange
from app.exchange.exporting import Source, file_name_of, media_type_of
from app.exchange.schemas import ExportIn, ExportResult
from app.jobs.contracts import ExportPayload
from app.projects import service as projects
from worker.base_task import JobRun, run_job
from worker.celery_app import application


@application.task(name="worker.tasks.export.run")
def run(job_id: str) -> None:
    run_job(job_id, export_project)


def export_project(run: JobRun) -> dict[str, Any]:
    """Where the file lies and what it holds; it is seen only through the job's result."""
    assert run.project_id is not None
    wanted = ExportIn.model_validate(ExportPayload.model_validate(run.payload).options)

    def on_progress(share: float, stage: str) -> None:
        run.ensure_not_stopped()
        run.report(share, stage)

    with run.sessions() as session:
        project = projects.get_project_by_id(session, run.project_id)
    name = file_name_of(project, wanted)
    path = run.workdir / name
    with run.sessions() as session:
        source = Source(session, run.store, project, wanted, on_progress)
        written = exchange.run_export(source, path)
    key = f"{run.blob_prefix}/{name}"
    run.store.put_file(key, path)
    result = ExportResult(
        blob_key=key,
        file_name=name,
        media_type=media_type_of(wanted),
        byte_size=path.stat().st_size,
        images=written.images,
        missing_photos=written.missing_photos,
    )
    return result.model_dump(mode="json")

"""The import of an uploaded file, as a job: fetched to disk, then taken in batch by batch."""

from typing import Any

from app.exchange import service as exchange
from app.exchange.importing import Site
from app.exchange.schemas import ImportOptions
from app.jobs import service as jobs
from app.jobs.contracts import ImportPayload
from worker.base_task import JobRun, run_job
from worker.celery_app import application


@application.task(name="worker.tasks.import_.run")
def run(job_id: str) -> None:
    run_job(job_id, import_upload)


def import_upload(run: JobRun) -> dict[str, Any]:
    """The report of the import. What an earlier attempt took in is not taken in again."""
    assert run.project_id is not None
    payload = ImportPayload.model_validate(run.payload)
    path = exchange.fetch_upload(run.store, payload, run.workdir)
    report = exchange.run_import(
        path, ImportOptions.model_validate(payload.options), site_of(run), name=payload.file_name
    )
    for line in report.lines():
        run.log(line)
    return report.model_dump(mode="json")


def site_of(run: JobRun) -> Site:
    assert run.project_id is not None

    def on_progress(share: float, stage: str) -> None:
        run.ensure_not_stopped()
        run.report(share, stage)

    with run.sessions() as session:
        author_id = jobs.get_job(session, run.job_id).created_by
    return Site(
        project_id=run.project_id,
        author_id=author_id,
        transact=run.transaction,
        store=run.store,
        max_pixels=run.settings.image_max_pixels,
        workdir=run.workdir,
        on_progress=on_progress,
    )

"""Model files for a computer on the line, as a job. What it does is in `worker.engine.export`."""

from worker.base_task import run_job
from worker.celery_app import application


@application.task(name="worker.tasks.export_model.run")
def run(job_id: str) -> None:
    from worker.engine.export import export_model

    run_job(job_id, export_model)

"""A Celery application like the workers' own, whose jobs count slowly instead of learning.

The tasks bear the names of real kinds, so doorbells and the sweep reach them as usual.
"""

import os
import time

from app.jobs.contracts import ROUTES
from app.jobs.models import JobKind
from worker.base_task import ChunkRun, Chunks, JobRun, run_chunk, run_job
from worker.celery_app import application

application.conf.include = ["worker.tasks.ingest", "worker.tasks.sweep"]

STEP_SECONDS = 0.1


def count(run: JobRun) -> dict[str, int]:
    """Count to `payload["to"]`, with a checkpoint after each number."""
    checkpoint = run.workdir / "count"
    first = int(checkpoint.read_text()) if checkpoint.exists() else 0
    run.log(f"process {os.getpid()} starts at {first}")
    if run.payload.get("deaf") and run.attempt == 1:
        run.report(0.5, "not listening")
        time.sleep(600)
    for number in range(first, run.payload["to"]):
        run.ensure_not_stopped()
        time.sleep(STEP_SECONDS)
        checkpoint.write_text(str(number + 1))
        run.report((number + 1) / run.payload["to"], "counting")
    return {"counted": run.payload["to"], "resumed_at": first}


def share(run: JobRun) -> Chunks:
    return Chunks([{"part": part} for part in range(run.payload["parts"])])


def count_part(run: ChunkRun) -> dict[str, int]:
    for _ in range(5):
        run.ensure_not_stopped()
        time.sleep(STEP_SECONDS)
    return {"part": run.payload["part"], "process": os.getpid()}


@application.task(name=ROUTES[JobKind.EXPORT].task)
def export(job_id: str) -> None:
    run_job(job_id, count)


@application.task(name=ROUTES[JobKind.TRAIN].task)
def train(job_id: str) -> None:
    run_job(job_id, count)


@application.task(name=ROUTES[JobKind.PREDICT].task)
def predict(job_id: str) -> None:
    run_job(job_id, share)


@application.task(name=ROUTES[JobKind.PREDICT].chunk_task)
def predict_chunk(job_id: str, number: int) -> None:
    def done(session, job, results):
        job.result = {"parts": results}

    run_chunk(job_id, number, count_part, on_job_success=done)

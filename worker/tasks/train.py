"""The task of queue `train`. What it does is in `worker.engine.training`.

Every worker imports every task; only the process that trains loads PyTorch.
"""

from worker.base_task import run_job
from worker.celery_app import application


@application.task(name="worker.tasks.train.run")
def run(job_id: str) -> None:
    from worker.engine.training import Attempt

    attempt = Attempt()
    run_job(job_id, attempt.work, on_success=attempt.publish)

"""The tasks of queue `infer`. What they do is in `worker.engine.prediction`.

Every worker imports every task; only the process that predicts loads PyTorch.
"""

from worker import base_task
from worker.celery_app import application


@application.task(name="worker.tasks.predict.run")
def run(job_id: str) -> None:
    from worker.engine.prediction import plan

    base_task.run_job(job_id, plan)


@application.task(name="worker.tasks.predict.run_chunk")
def run_chunk(job_id: str, number: int) -> None:
    from worker.engine.prediction import look, sum_up

    base_task.run_chunk(job_id, number, look, on_job_success=sum_up)

"""Real workers that are killed, stopped, doubled and cut off in the middle of a job."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from app.commands import beat_command, worker_command
from app.core.embedded import redis_url
from app.core.processes import processes_of_group, spawn, stop
from app.doctor import queues_served
from app.jobs.models import JobKind, JobState
from tests.conftest import REPOSITORY
from worker.lease import EXIT_HUNG

Start = Callable[[str], subprocess.Popen]
QUEUE_OF = {JobKind.EXPORT: "cpu", JobKind.TRAIN: "train"}


@pytest.fixture
def start(settings, change_settings, tmp_path) -> Iterator[Start]:
    """A function that starts a worker with the toy tasks, or `beat`."""
    # Long enough for a busy machine: a worker that cannot renew its lease in time loses its job.
    change_settings(job_lease_seconds=6, sweep_seconds=1)
    started: list[subprocess.Popen] = []

    def start_one(queue: str) -> subprocess.Popen:
        command = beat_command(settings) if queue == "beat" else worker_command(queue)
        command[command.index("worker.celery_app")] = "tests.integration.worker.toy_tasks"
        with (tmp_path / f"{queue}-{len(started)}.log").open("wb") as log:
            started.append(spawn(command, cwd=REPOSITORY, output=log))
        return started[-1]

    yield start_one
    for process in started:
        stop(process)


@pytest.fixture
def wait_for(work, tmp_path):
    """A function that returns a job once it is as wished, or fails with the workers' logs."""

    def wait(job_id, is_so, seconds=120.0):
        deadline = time.monotonic() + seconds
        while True:
            job = work.read(job_id)
            if is_so(job):
                return job
            if time.monotonic() > deadline:
                logs = "".join(path.read_text()[-3000:] for path in tmp_path.glob("*.log"))
                pytest.fail(f"{job.state} {job.progress} {job.error}\n{logs}")
            time.sleep(0.1)

    return wait


def has_ended(job):
    return job.state in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


def has_begun(job):
    return job.progress > 0


def is_under_way(job):
    return job.progress > 0.1


def wait_for_text(folder, names, text, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not all(text in (folder / name).read_text() for name in names):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_training_killed_with_kill_9_resumes_and_ends_once(work, start, wait_for):
    job_id = work.add(JobKind.TRAIN, to=40)
    start("beat")
    start("cpu")
    worker = start("train")
    wait_for(job_id, is_under_way)
    worker.kill()
    worker.wait()
    start("train")
    job = wait_for(job_id, has_ended)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert job.result["counted"] == 40
    assert job.result["resumed_at"] > 0
    assert len(work.log(job_id)) == 2


def test_a_killed_pool_process_costs_no_job(work, start, wait_for):
    job_id = work.add(JobKind.EXPORT, to=30)
    start("beat")
    worker = start("cpu")
    wait_for(job_id, is_under_way)
    at_work = int(work.log(job_id)[0].split()[1])
    assert at_work in processes_of_group(worker.pid)[1:]
    os.kill(at_work, signal.SIGKILL)
    job = wait_for(job_id, has_ended)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert job.result["resumed_at"] > 0


@pytest.mark.parametrize("kind", [JobKind.EXPORT, JobKind.TRAIN])
def test_sigterm_ends_a_worker_and_loses_nothing(work, start, wait_for, kind):
    job_id = work.add(kind, to=60)
    worker = start(QUEUE_OF[kind])
    wait_for(job_id, is_under_way)
    worker.terminate()
    worker.wait(timeout=60)
    job = work.read(job_id)
    assert (job.state, job.attempts, job.lease_owner) == (JobState.QUEUED, 0, None)
    start(QUEUE_OF[kind])
    job = wait_for(job_id, has_ended)
    assert job.state == JobState.SUCCEEDED
    assert job.result["resumed_at"] > 0


def test_work_that_does_not_listen_is_cut_short_after_sigterm(work, start, wait_for):
    job_id = work.add(JobKind.TRAIN, to=1, deaf=True)
    worker = start("train")
    wait_for(job_id, has_begun)
    worker.terminate()
    assert worker.wait(timeout=60) == -signal.SIGALRM
    assert work.read(job_id).state == JobState.RUNNING, "its lease runs out and it is rung again"


def test_a_worker_whose_work_hangs_ends_by_itself(work, start, wait_for, change_settings):
    change_settings(job_stall_seconds=1)
    job_id = work.add(JobKind.TRAIN, to=1, deaf=True)
    worker = start("train")
    assert worker.wait(timeout=120) == EXIT_HUNG
    start("cpu")
    start("beat")
    start("train")
    job = wait_for(job_id, has_ended)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)


def test_a_running_job_is_cancelled(work, start, wait_for):
    job_id = work.add(JobKind.TRAIN, to=600)
    start("train")
    wait_for(job_id, has_begun)
    work.cancel(job_id)
    assert wait_for(job_id, has_ended, seconds=60).state == JobState.CANCELLED


def test_two_workers_share_a_job(work, start, wait_for, tmp_path):
    workers = [start("infer"), start("infer")]
    wait_for_text(tmp_path, ["infer-0.log", "infer-1.log"], " ready.")
    job_id = work.add(JobKind.PREDICT, parts=8)
    job = wait_for(job_id, has_ended)
    assert job.state == JobState.SUCCEEDED
    assert [part["part"] for part in job.result["parts"]] == list(range(8))
    assert {part["process"] for part in job.result["parts"]} == {w.pid for w in workers}


def test_a_job_outlives_its_connection_to_the_broker(work, start, wait_for, settings):
    job_id = work.add(JobKind.TRAIN, to=20)
    start("train")
    wait_for(job_id, is_under_way)
    with redis.Redis.from_url(redis_url(settings.broker_url)) as broker:
        broker.client_kill_filter(_type="normal", skipme=True)
    assert wait_for(job_id, has_ended).state == JobState.SUCCEEDED
    after = work.add(JobKind.TRAIN, to=1)
    job = wait_for(after, has_ended)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    assert work.read(job_id).attempts == 1


def test_a_worker_that_is_ready_says_so(start, settings):
    start("cpu")
    deadline = time.monotonic() + 90
    while "cpu" not in queues_served(settings):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_knowing_all_tasks_does_not_load_torch():
    script = (
        "import sys; from worker.celery_app import application;"
        "application.loader.import_default_modules();"
        "print('worker.tasks.train' in sys.modules, 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "True False"

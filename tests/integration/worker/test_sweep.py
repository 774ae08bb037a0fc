"""The sweep finds what nobody works on, and clears away what has had its time."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.annotations.models import LabelValue
from app.core.clock import now
from app.core.db import transaction
from app.core.idempotency import IdempotencyKey
from app.core.ids import new_id
from app.jobs import service
from app.jobs.models import JobKind, WorkerHeartbeat
from app.projects import service as projects
from app.pseudolabels import acceptance
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import PseudoLabel
from app.pseudolabels.rows import Proposal
from tests.factories import make_images, make_project, make_version
from worker.base_task import JobRun, run_job, work_root
from worker.process import this_process
from worker.tasks import sweep


def fail_once(run: JobRun) -> None:
    if run.attempt == 1:
        raise RuntimeError("cosmic ray")


@pytest.fixture
def lose_messages(broker):
    """A function that empties the broker, as a crash of it would."""
    return broker.flushdb


def test_jobs_whose_message_was_lost_are_rung_again(work, broker, lose_messages):
    jobs = {kind: work.add(kind) for kind in (JobKind.EXPORT, JobKind.TRAIN)}
    lose_messages()
    sweep.run()
    assert jobs[JobKind.EXPORT].encode() in broker.lindex("cpu", 0)
    assert jobs[JobKind.TRAIN].encode() in broker.lindex("train", 0)
    assert broker.llen("infer") == 0


def test_two_sweeps_at_once_do_no_harm(work, broker, lose_messages):
    work.add()
    lose_messages()
    here = this_process()
    sweep.ring_jobs(here, sweep.quiet_queues(here.settings))
    sweep.ring_jobs(here, {"cpu"})
    assert broker.llen("cpu") == 2
    runs: list[int] = []
    for _ in range(2):
        job_id = str(work.newest().id)
        run_job(job_id, lambda run: runs.append(run.attempt))
    assert runs == [1]


def test_a_failed_attempt_is_rung_after_its_pause(work, broker, lose_messages):
    job_id = work.add()
    lose_messages()
    run_job(job_id, fail_once)
    sweep.run()
    assert broker.llen("cpu") == 0
    work.end_pause()
    sweep.run()
    assert broker.llen("cpu") == 1


def test_answers_and_workers_of_the_past_are_forgotten(work):
    kept, gone = now() + timedelta(hours=1), now() - timedelta(seconds=1)
    with transaction(work.sessions) as session:
        for key, expires_at in (("kept", kept), ("gone", gone)):
            session.add(
                IdempotencyKey(
                    user_id=new_id(),
                    route="POST /",
                    key=key,
                    request_hash="",
                    status=201,
                    headers={},
                    body=b"",
                    expires_at=expires_at,
                )
            )
        service.beat(session, name="cpu@here", queue="cpu", device="cpu")
        long_ago = now() - timedelta(days=2)
        session.add(WorkerHeartbeat(name="old", queue="cpu", device="cpu", at=long_ago))
    sweep.run()
    with work.sessions() as session:
        assert list(session.scalars(select(IdempotencyKey.key))) == ["kept"]
        assert list(
            session.scalars(select(WorkerHeartbeat.name).order_by(WorkerHeartbeat.name))
        ) == ["cpu@here", "sweep"]


def test_work_folders_of_ended_jobs_go(work):
    waiting, ended = work.add(), work.add()
    root = work_root(this_process().settings)
    for job_id in (waiting, ended):
        (root / job_id).mkdir(parents=True)
    work.cancel(ended)
    sweep.run()
    assert [folder.name for folder in root.iterdir()] == [waiting]


def test_a_worker_sweeps_itself_when_nobody_did_for_long(work, broker, lose_messages):
    work.add()
    lose_messages()
    sweep.run_if_overdue()
    assert broker.llen("cpu") == 1
    lose_messages()
    sweep.run_if_overdue()
    assert broker.llen("cpu") == 0, "somebody swept a moment ago"
    with transaction(work.sessions) as session:
        session.get(WorkerHeartbeat, sweep.NAME).at = now() - timedelta(minutes=2)
    sweep.run_if_overdue()
    assert broker.llen("cpu") == 1


def test_a_heartbeat_is_one_row_per_worker(work):
    for _ in range(2):
        with transaction(work.sessions) as session:
            service.beat(session, name="cpu@here", queue="cpu", device="cpu")
    with work.sessions() as session:
        assert session.scalar(select(func.count()).select_from(WorkerHeartbeat)) == 1


def test_contracts_are_kept_by_the_sweep(work):
    with transaction(work.sessions) as session:
        project = make_project(session, labels=("scratch",), stage="auto")
        [label] = projects.list_labels(session, project.id)
        promise = {"value": 1, "alpha": 0.05, "threshold": 0.9}
        card = {"labels": [{"key": "scratch"}], "promises": {"scratch": [promise]}}
        version = make_version(session, project, [label.id], card=card)
        [image] = make_images(session, project, 1)
        proposal = Proposal(image.id, label.id, LabelValue.PRESENT, 0.95, 0.8)
        pseudolabels.propose(session, version=version, rows=[proposal])
        acceptance.start(session, project, label, 0.05, actor_id=None)
    states = select(PseudoLabel.state).where(PseudoLabel.image_id == image.id)
    sweep.run()
    with transaction(work.sessions) as session:
        assert session.scalars(states).all() == ["auto_accepted"]
        acceptance.stop(session, project, label, takes_back=True, actor_id=None)
    sweep.run()
    with transaction(work.sessions) as session:
        assert session.scalars(states).all() == ["pending"]

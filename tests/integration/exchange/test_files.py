"""Files of imports and exports go when nobody needs them any more, and no others do."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core.clock import now
from app.core.db import make_sessions, transaction
from app.exchange import service
from app.exchange.schemas import ExportResult
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from tests.integration.exchange.test_over_http import send
from worker import process
from worker.tasks import sweep

__all__ = ["send"]

KEEP = timedelta(hours=168)


@pytest.fixture
def add_job(session, project, store):
    """A function that adds a job with a file, in this state for so long."""

    def add(kind: JobKind, state: JobState, age: timedelta = timedelta(0)) -> Job:
        ended = now() - age if state in jobs.ENDED else None
        job = Job(project_id=project.id, kind=kind, state=state, payload={}, finished_at=ended)
        session.add(job)
        session.flush()
        key = f"jobs/{job.id}/1/file"
        store.put(key, b"x")
        result = ExportResult(
            blob_key=key, file_name="boards.csv", media_type="text/csv", byte_size=1, images=1
        )
        job.result = result.model_dump() if state == JobState.SUCCEEDED else None
        session.commit()
        return job

    return add


@pytest.fixture
def remaining(store):
    """A function that lists the files of a job."""
    return lambda job: list(store.keys(f"jobs/{job.id}"))


def remove_files(engine, store) -> None:
    with transaction(make_sessions(engine)) as session:
        service.remove_files(session, store, KEEP)


def test_what_is_still_needed_stays(session, engine, store, add_job, remaining):
    old = KEEP + timedelta(hours=1)
    needed = [
        add_job(JobKind.EXPORT, JobState.SUCCEEDED, KEEP - timedelta(hours=1)),
        add_job(JobKind.EXPORT, JobState.RUNNING),
        add_job(JobKind.IMPORT, JobState.QUEUED),
        add_job(JobKind.TRAIN, JobState.SUCCEEDED, old),
        add_job(JobKind.TRAIN, JobState.FAILED, old),
    ]
    remove_files(engine, store)
    assert [len(remaining(job)) for job in needed] == [1] * len(needed)
    session.expire_all()
    assert {job.files_removed_at for job in needed} == {None}


def test_what_nobody_needs_goes(session, engine, store, add_job, remaining):
    needless = [
        add_job(JobKind.EXPORT, JobState.SUCCEEDED, KEEP + timedelta(hours=1)),
        add_job(JobKind.EXPORT, JobState.FAILED),
        add_job(JobKind.EXPORT, JobState.CANCELLED),
        add_job(JobKind.IMPORT, JobState.SUCCEEDED),
        add_job(JobKind.IMPORT, JobState.CANCELLED),
    ]
    remove_files(engine, store)
    assert [remaining(job) for job in needless] == [[]] * len(needless)
    session.expire_all()
    assert None not in {job.files_removed_at for job in needless}


def test_jobs_that_somebody_holds_are_left_for_another_time(
    session, engine, store, add_job, remaining
):
    held, free = (add_job(JobKind.IMPORT, JobState.FAILED) for _ in range(2))
    session.scalar(select(Job).where(Job.id == held.id).with_for_update())
    remove_files(engine, store)
    assert (len(remaining(held)), remaining(free)) == (1, [])
    session.rollback()
    remove_files(engine, store)
    assert remaining(held) == []


def test_a_sweep_takes_the_upload_of_an_import_that_never_began(client, send, store):
    job_id = send(b"file_name,label,value\n", "labels.csv").json()["id"]
    assert list(store.keys(f"jobs/{job_id}")) == [f"jobs/{job_id}/upload"]
    assert client.post(f"/api/v1/jobs/{job_id}/cancel").is_success
    sweep.run()
    process.disconnect()
    assert list(store.keys(f"jobs/{job_id}")) == []


def test_an_export_that_went_says_so(client, project, engine, store, add_job):
    job = add_job(JobKind.EXPORT, JobState.SUCCEEDED, KEEP + timedelta(hours=1))
    address = f"/api/v1/projects/{project.slug}/exports/{job.id}/file"
    page = f"/projects/{project.slug}/exchange"
    assert client.get(address).content == b"x"
    assert address in client.get(page).text
    remove_files(engine, store)
    answer = client.get(address)
    assert (answer.status_code, "was removed" in answer.json()["detail"]) == (404, True)
    for language, word in (("en", "removed"), ("ja", "削除済み")):
        client.cookies.set("kizu_language", language)
        text = client.get(page).text
        assert address not in text
        assert f'boards.csv <span class="small muted">{word}</span>' in text


def test_a_cancelled_export_has_no_file_to_name(client, project, engine, store, add_job):
    add_job(JobKind.EXPORT, JobState.CANCELLED)
    remove_files(engine, store)
    assert client.get(f"/projects/{project.slug}/exchange").status_code == 200

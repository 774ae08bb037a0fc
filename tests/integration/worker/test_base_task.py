"""How a task ends its job: well, badly, later, or not at all."""

import errno
import threading
import time

import pytest
from sqlalchemy import text

from app.core.clock import now
from app.core.errors import Conflict, OutOfSpace
from app.jobs.models import JobKind, JobState
from worker import process
from worker.base_task import Chunks, JobStopped, LeaseLost, run_chunk, run_job
from worker.process import this_process


@pytest.fixture
def told_to_stop():
    process.ask_to_stop()
    yield
    process._stop_flag[0] = 0


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_job_ends_with_its_result_in_one_transaction_with_its_effect(work):
    job_id = work.add(colour="red")
    seen = {}

    def on_success(session, job, result):
        seen.update(state=job.state, **result)

    def do(run):
        seen.update(payload=run.payload, attempt=run.attempt, workdir=run.workdir.is_dir())
        run.log("half way")
        run.report(0.5, "middle", metrics={"loss": 0.1})
        return {"rows": 3}

    run_job(job_id, do, on_success=on_success)
    job = work.read(job_id)
    assert (job.state, job.result, job.progress) == (JobState.SUCCEEDED, {"rows": 3}, 1.0)
    assert (job.stage, job.metrics) == ("middle", {"loss": 0.1})
    assert (seen["state"], seen["rows"], seen["attempt"]) == (JobState.RUNNING, 3, 1)
    assert seen["payload"]["colour"] == "red"
    assert work.log(job_id) == ["half way"]
    assert not (this_process().settings.data_dir / "work" / job_id).exists()


def test_a_second_doorbell_does_nothing(work):
    job_id, runs = work.add(), []
    for _ in range(2):
        run_job(job_id, lambda run: runs.append(run.attempt))
    assert runs == [1]


def test_progress_and_log_are_seen_while_the_work_goes_on(work):
    job_id = work.add()

    def do(run):
        run.report(0.3, "reading", eta_seconds=7)
        run.log("a third")
        wait_until(lambda: work.read(job_id).progress == 0.3 and work.log(job_id) == ["a third"])
        assert work.read(job_id).eta_seconds == 7

    run_job(job_id, do)
    assert work.read(job_id).state == JobState.SUCCEEDED


def test_an_error_that_kizu_knows_fails_the_job_at_once(work):
    job_id = work.add()

    def do(run):
        raise Conflict("No image has a label yet.")

    run_job(job_id, do)
    job = work.read(job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.error == {
        "title": Conflict.title,
        "detail": "No image has a label yet.",
        "code": "conflict",
    }


def test_an_unknown_error_is_tried_again_until_the_attempts_are_used_up(work, change_settings):
    change_settings(job_max_attempts=2)
    job_id = work.add()

    def do(run):
        raise RuntimeError("cosmic ray")

    run_job(job_id, do)
    job = work.read(job_id)
    assert (job.state, job.error) == (JobState.QUEUED, None)
    run_job(job_id, do)
    assert work.read(job_id).attempts == 1, "it pauses first"
    work.end_pause()
    run_job(job_id, do)
    job = work.read(job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 2)
    assert "cosmic ray" in job.error["detail"]
    assert len(work.log(job_id)) == 2


@pytest.mark.parametrize("error", [OutOfSpace("full"), OSError(errno.ENOSPC, "No space left")])
def test_a_full_disk_is_waited_for_and_then_told_plainly(work, change_settings, error):
    change_settings(job_max_attempts=2)
    job_id = work.add()

    def do(run):
        raise error

    run_job(job_id, do)
    assert work.read(job_id).state == JobState.QUEUED
    work.end_pause()
    run_job(job_id, do)
    job = work.read(job_id)
    assert job.state == JobState.FAILED
    assert job.error["detail"] == "The disk is full. Free some space, then start the job again."


def test_a_cancelled_job_stops_soon(work):
    job_id = work.add()

    def do(run):
        work.cancel(job_id)
        wait_until(run.should_stop)
        raise JobStopped

    run_job(job_id, do)
    job = work.read(job_id)
    assert (job.state, job.result) == (JobState.CANCELLED, None)
    assert not (this_process().settings.data_dir / "work" / job_id).exists()


def test_a_worker_told_to_end_gives_the_job_back(work, told_to_stop):
    job_id = work.add()

    def do(run):
        (run.workdir / "checkpoint").write_text("half")
        assert run.should_stop()
        raise JobStopped

    run_job(job_id, do)
    job = work.read(job_id)
    assert (job.state, job.attempts, job.lease_owner) == (JobState.QUEUED, 0, None)

    process._stop_flag[0] = 0
    run_job(job_id, lambda run: {"found": (run.workdir / "checkpoint").read_text()})
    assert work.read(job_id).result == {"found": "half"}


def test_a_job_that_was_taken_over_writes_nothing_more(work, change_settings):
    change_settings(job_lease_seconds=3, job_stall_seconds=1)
    job_id, order = work.add(), []

    def hung(run):
        # No tick: the lease runs out.
        wait_until(lambda: work.read(job_id).lease_expires_at < now(), seconds=60)
        other = threading.Thread(target=run_job, args=(job_id, lambda _: {"by": "the other"}))
        other.start()
        other.join()
        order.append(work.read(job_id).state)
        wait_until(run.should_stop)
        with pytest.raises(LeaseLost), run.transaction():
            order.append("wrote")
        run.log("nobody reads this")
        return {"by": "the hung one"}

    run_job(job_id, hung)
    job = work.read(job_id)
    assert order == [JobState.SUCCEEDED]
    assert (job.state, job.result, job.attempts) == (JobState.SUCCEEDED, {"by": "the other"}, 2)
    assert work.log(job_id) == []


def test_a_loop_that_moves_keeps_its_lease(work, change_settings):
    change_settings(job_lease_seconds=3, job_stall_seconds=3)
    job_id = work.add()

    def slow(run):
        for _ in range(20):
            time.sleep(0.2)
            run.tick()
        run_job(job_id, lambda _: pytest.fail("taken over from a living worker"))
        return {}

    run_job(job_id, slow)
    assert work.read(job_id).attempts == 1


def test_a_long_transaction_keeps_its_lease(work, change_settings):
    change_settings(job_lease_seconds=3)
    job_id = work.add()
    rival = threading.Thread(target=run_job, args=(job_id, lambda _: {"by": "the rival"}))

    def slow(run):
        with run.transaction():
            rival.start()
            time.sleep(4)
        rival.join()
        return {"by": "the first"}

    run_job(job_id, slow)
    assert work.read(job_id).result == {"by": "the first"}


def test_killed_database_connections_do_not_stop_a_job(work, engine):
    job_id = work.add()

    def do(run):
        for fraction in (0.2, 0.6):
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
            run.report(fraction, "going on")
            with run.transaction() as session:
                session.execute(text("SELECT 1"))
        return {"survived": True}

    run_job(job_id, do)
    job = work.read(job_id)
    assert (job.state, job.attempts, job.result) == (JobState.SUCCEEDED, 1, {"survived": True})


def test_a_connection_killed_inside_a_transaction_costs_an_attempt_not_the_job(work):
    job_id = work.add()

    def do(run):
        with run.transaction() as session:
            if run.attempt == 1:
                pid = session.scalar(text("SELECT pg_backend_pid()"))
                with work.sessions() as other:
                    other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            session.execute(text("SELECT 1"))
        return {"attempt": run.attempt}

    run_job(job_id, do)
    assert work.read(job_id).state == JobState.QUEUED
    work.end_pause()
    run_job(job_id, do)
    assert work.read(job_id).result == {"attempt": 2}


def test_an_effect_that_fails_undoes_the_end(work):
    job_id = work.add()

    def effect(session, job, result):
        raise Conflict("Somebody deleted the project meanwhile.")

    run_job(job_id, lambda run: {}, on_success=effect)
    job = work.read(job_id)
    assert (job.state, job.result) == (JobState.FAILED, None)


def test_chunks_share_a_job(work):
    job_id, ends = work.add(JobKind.PREDICT), []

    def share(run):
        return Chunks([{"part": part} for part in "ab"], {"version": 7})

    def do(run):
        with run.transaction():
            return {"part": run.payload["part"], "version": run.job_result["version"]}

    run_job(job_id, share)
    for number in (1, 0, 0, 1):
        run_chunk(job_id, number, do, on_job_success=lambda *end: ends.append(end[2]))
    assert ends == [[{"part": "a", "version": 7}, {"part": "b", "version": 7}]]
    assert work.read(job_id).state == JobState.SUCCEEDED


def test_a_chunk_tells_how_far_it_is_while_it_works(work):
    job_id, seen = work.add(JobKind.PREDICT), []

    def do(run):
        run.report(0.5)
        run.lease.deliver()
        seen.append(work.read(job_id))
        return {}

    run_job(job_id, lambda run: Chunks([{}, {}], stage="Counting"))
    run_chunk(job_id, 0, do)
    run_chunk(job_id, 1, do)
    assert [job.progress for job in seen] == pytest.approx([0.25, 0.75])
    assert {job.stage for job in seen} == {"Counting"}
    assert all(job.eta_seconds is not None for job in seen)


def test_a_job_without_anything_to_share_ends_at_once(work):
    job_id, ends = work.add(JobKind.PREDICT), []
    run_job(job_id, lambda run: Chunks([], {"n": 0}), on_success=lambda *end: ends.append(end[2]))
    assert ends == [{"n": 0}]
    assert work.read(job_id).state == JobState.SUCCEEDED


def test_files_of_lost_attempts_are_removed(work):
    job_id = work.add()
    store = this_process().store
    store.put(f"jobs/{job_id}/0/half.bin", b"half")

    def do(run):
        run.store.put(f"{run.blob_prefix}/whole.bin", b"whole")

    run_job(job_id, do)
    assert list(store.keys(f"jobs/{job_id}")) == [f"jobs/{job_id}/1/whole.bin"]

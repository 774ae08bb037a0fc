"""Following a job live: only changes are sent, nothing is held between two looks."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import text

from app.jobs import service
from tests.integration.jobs.conftest import LEASE, TERMS


class Events:
    """A browser's EventSource, one event at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines: Iterator[str] = response.iter_lines()

    def next(self) -> tuple[str, dict] | None:
        """(id, job); None when the stream has ended."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line == "" and "data" in fields:
                return fields["id"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value
        return None


@pytest.fixture
def follow(live_url, admin_token):
    """A function that opens the event stream of a job."""
    opened = []
    headers = {"Authorization": f"Bearer {admin_token}"}
    with httpx.Client(base_url=live_url, headers=headers, timeout=20) as client:

        def start(job, last_event_id: str | None = None) -> Events:
            resume = {"Last-Event-ID": last_event_id} if last_event_id else {}
            request = client.build_request("GET", f"/api/v1/jobs/{job.id}/events", headers=resume)
            response = client.send(request, stream=True)
            opened.append(response)
            return Events(response)

        yield start
        for response in opened:
            response.close()


def test_changes_arrive_until_the_job_ends(session, make_job, follow):
    job = make_job()
    events = follow(job)
    assert events.response.headers["content-type"].startswith("text/event-stream")
    assert events.next()[1]["state"] == "queued"
    job = service.claim(session, job.id, TERMS)
    service.renew(session, job.id, job.fencing_token, LEASE, {"progress": 0.5, "stage": "x"})
    session.commit()
    _, running = events.next()
    assert (running["state"], running["progress"], running["stage"]) == ("running", 0.5, "x")
    job = service.hold(session, job.id, job.fencing_token, LEASE)
    service.succeed(session, job, {"rows": 1})
    session.commit()
    assert events.next()[1]["result"] == {"rows": 1}
    assert events.next() is None


def test_a_stream_resumes_after_what_was_seen(session, make_job, follow):
    job = make_job()
    seen, _ = follow(job).next()
    resumed = follow(job, last_event_id=seen)
    service.request_cancel(session, job)
    session.commit()
    last, job_then = resumed.next()
    assert job_then["state"] == "cancelled"
    assert follow(job, last_event_id=last).response.status_code == 204


def test_a_change_in_between_is_not_missed(session, make_job, follow):
    job = make_job()
    seen, _ = follow(job).next()
    service.claim(session, job.id, TERMS)
    session.commit()
    assert follow(job, last_event_id=seen).next()[1]["state"] == "running"


def test_open_streams_hold_no_transaction(session, make_job, follow):
    """A look lasts milliseconds, and one may be in progress; what is held between looks is old."""
    job = make_job()
    for events in [follow(job) for _ in range(30)]:
        assert events.next() is not None
    session.rollback()
    time.sleep(1.5)
    held = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state LIKE 'idle in transaction%' AND xact_start < now() - interval '1 second'"
    )
    assert session.scalar(held) == 0

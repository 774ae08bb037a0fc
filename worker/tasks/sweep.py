"""The sweep: rings again for work that waits, and clears away what has had its time.

Beat rings it every few seconds. It is idempotent, and two at once do no harm. Where nobody swept
for a while, because imports fill the queue `cpu` or beat is gone, any worker's heartbeat does.
A queue that still has messages is not rung: its workers are behind, and more would not help them.
"""

import shutil
from collections.abc import Callable, Collection
from datetime import timedelta
from uuid import UUID

import redis
import structlog

from app.catalog import removal
from app.core import idempotency
from app.core.config import Settings
from app.core.db import transaction
from app.core.embedded import redis_url
from app.core.queue import Queue
from app.exchange import service as exchange
from app.images import bursts, embeddings
from app.images import service as images
from app.jobs import service as jobs
from app.pseudolabels import acceptance
from worker.base_task import work_root
from worker.celery_app import SWEEP_TASK, application
from worker.process import OUTAGES, Process, this_process

log = structlog.get_logger()

NAME = "sweep"
OVERDUE_AFTER_SWEEPS = 4
STUCK_IMAGES_PER_SWEEP = 2000
LATE_BURSTS_PER_SWEEP = 200
ACCEPTANCE_BATCHES_PER_SWEEP = 20
BROKER_TIMEOUT_SECONDS = 5


@application.task(name=SWEEP_TASK)
def run() -> None:
    """Every step has a transaction of its own; one that fails never stops the next."""
    here = this_process()
    quiet = quiet_queues(here.settings)
    steps: tuple[Callable[[], None], ...] = (
        lambda: note_sweep(here),
        lambda: ring_jobs(here, quiet),
        lambda: ring_images(here, quiet),
        lambda: ring_embeddings(here, quiet),
        lambda: join_bursts(here),
        lambda: keep_contracts(here),
        lambda: forget_expired(here),
        lambda: purge_hidden(here),
        lambda: remove_exchanged_files(here),
        lambda: remove_work_folders(here),
    )
    for step in steps:
        try:
            step()
        except OUTAGES as error:
            log.warning("database does not answer; the next sweep tries again", error=str(error))
        except Exception as error:
            log.error("a step of the sweep failed", exc_info=error)


def run_if_overdue() -> None:
    here = this_process()
    with transaction(here.sessions) as session:
        silence = jobs.seconds_since_beat(session, NAME)
    if silence is None or silence > OVERDUE_AFTER_SWEEPS * here.settings.sweep_seconds:
        run()


def note_sweep(here: Process) -> None:
    with transaction(here.sessions) as session:
        jobs.beat(session, name=NAME, queue=NAME, device="cpu")


def quiet_queues(settings: Settings) -> set[Queue]:
    """The queues without a waiting message."""
    url = redis_url(settings.broker_url or "")
    with redis.Redis.from_url(url, socket_timeout=BROKER_TIMEOUT_SECONDS) as broker:
        return {queue for queue in Queue if not broker.llen(queue.value)}


def ring_jobs(here: Process, quiet: Collection[Queue]) -> None:
    with transaction(here.sessions) as session:
        count = jobs.ring_waiting(session, quiet)
    if count:
        log.info("rang for waiting jobs", count=count)


def ring_images(here: Process, quiet: Collection[Queue]) -> None:
    if Queue.CPU not in quiet:
        return
    with transaction(here.sessions) as session:
        stuck = images.stuck_image_ids(session, limit=STUCK_IMAGES_PER_SWEEP)
        for image_id in stuck:
            images.ring_ingest(session, image_id)
    if stuck:
        log.info("rang for waiting images", count=len(stuck))


def ring_embeddings(here: Process, quiet: Collection[Queue]) -> None:
    """Photos and searches that nobody has looked at: new ones, and those of before a change."""
    if Queue.INFER not in quiet:
        return
    with transaction(here.sessions) as session:
        embeddings.ring_waiting(session)


def join_bursts(here: Process) -> None:
    with transaction(here.sessions) as session:
        bursts.join_late(session, limit=LATE_BURSTS_PER_SWEEP)


def keep_contracts(here: Process) -> None:
    """Take back what contracts no longer cover, then accept what they do, batch by batch."""
    with transaction(here.sessions) as session:
        acceptance.forget_idle(session)
    for _ in range(ACCEPTANCE_BATCHES_PER_SWEEP):
        with transaction(here.sessions) as session:
            if not (acceptance.take_back(session) or acceptance.apply_contracts(session)):
                return


def forget_expired(here: Process) -> None:
    with transaction(here.sessions) as session:
        idempotency.purge_expired(session)
        embeddings.forget_old_texts(session)
        jobs.forget_silent_workers(session)


def purge_hidden(here: Process) -> None:
    """What was deleted long enough ago goes for good."""
    grace = timedelta(hours=here.settings.purge_after_hours)
    with transaction(here.sessions) as session:
        removal.purge_hidden(session, older_than=grace)


def remove_exchanged_files(here: Process) -> None:
    """Uploads of imports that have ended, and exports that were there long enough."""
    keep = timedelta(hours=here.settings.export_keep_hours)
    with transaction(here.sessions) as session:
        exchange.remove_files(session, here.store, keep)


def remove_work_folders(here: Process) -> None:
    """Folders of jobs that ended elsewhere, or were cancelled while they waited."""
    root = work_root(here.settings)
    job_ids = [UUID(folder.name) for folder in root.iterdir()] if root.is_dir() else []
    with transaction(here.sessions) as session:
        ended = jobs.ended_jobs(session, job_ids)
    for job_id in ended:
        shutil.rmtree(root / str(job_id), ignore_errors=True)

"""A purge: what was deleted leaves the database, the store and this machine's caches.

Every batch is a transaction that finds its rows anew, so an attempt that was killed anywhere is
simply followed by another one. Caches of other machines drop a photo by themselves in time.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from app.catalog import purging
from app.core import audit
from app.core.errors import Conflict
from app.jobs.contracts import PurgePayload
from app.jobs.models import Job
from app.jobs.stages import JobStage
from worker.base_task import JobRun, run_job
from worker.celery_app import application
from worker.engine.feature_store import FeatureStore, tokens_folder

LOOK_AGAIN_SECONDS = 0.5
FILES_BETWEEN_TICKS = 20


@application.task(name="worker.tasks.purge.run")
def run(job_id: str) -> None:
    run_job(job_id, purge, on_success=record)


def purge(job: JobRun) -> dict[str, Any]:
    """How many photos and files went. Stops between batches when told to."""
    payload = PurgePayload.model_validate(job.payload)
    work = Purge(job)
    if payload.project_id is not None:
        work.remove_project(payload.project_id)
    elif payload.before is not None:
        work.remove_hidden(payload.before)
    return {"photos": work.photos, "files": work.files}


def record(session: Session, job: Job, result: dict[str, Any]) -> None:
    """The end of a deletion is an event too: it says that the bytes are gone."""
    audit.record(
        session,
        "project.purged" if job.project_id else "photos.purged",
        "project" if job.project_id else "job",
        job.project_id or job.id,
        actor_id=job.created_by,
        project_id=job.project_id,
        after=result,
    )


@dataclass
class Purge:
    """One attempt, and what it has removed so far."""

    job: JobRun
    photos: int = 0
    files: int = 0

    def remove_project(self, project_id: UUID) -> None:
        with self.job.transaction() as session:
            if not purging.is_deleted(session, project_id):
                raise Conflict("The project is not deleted, so nothing of it is purged.")
        self._await_workers(project_id)
        self._remove_photos(purging.of_project(project_id))
        self._remove_files(project_id)
        with self.job.transaction() as session:
            purging.purge_remainder(session, project_id)

    def remove_hidden(self, moment: datetime) -> None:
        """Photos deleted before then, and what an interrupted deletion left of projects."""
        with self.job.transaction() as session:
            left_over = purging.left_over(session, moment)
        for project_id in left_over:
            self.remove_project(project_id)
        self._remove_photos(purging.hidden_before(moment))

    def _await_workers(self, project_id: UUID) -> None:
        """Its jobs were asked to stop; until they have, they might write again."""
        while True:
            self.job.ensure_not_stopped()
            self.job.report(0.0, JobStage.WAIT)
            with self.job.transaction() as session:
                if not purging.has_work_at_hand(session, project_id):
                    return
            time.sleep(LOOK_AGAIN_SECONDS)

    def _remove_photos(self, which: ColumnElement[bool]) -> None:
        tokens = FeatureStore(
            tokens_folder(self.job.settings.data_dir), self.job.settings.token_store_bytes
        )
        with self.job.transaction() as session:
            total = self.photos + purging.count(session, which)
        while True:
            self.job.ensure_not_stopped()
            with self.job.transaction() as session:
                batch = purging.purge_photos(session, self.job.store, which)
            if not batch.photos:
                return
            for sha256 in batch.contents:
                tokens.remove(sha256)
            self.photos += batch.photos
            self.job.report(min(self.photos / max(total, 1), 1.0) * 0.9, JobStage.REMOVE_PHOTOS)

    def _remove_files(self, project_id: UUID) -> None:
        with self.job.transaction() as session:
            files = sorted(set(purging.files_of(session, self.job.store, project_id)))
        for number, key in enumerate(files):
            if number % FILES_BETWEEN_TICKS == 0:
                self.job.ensure_not_stopped()
                self.job.report(0.9 + 0.1 * number / len(files), JobStage.REMOVE_FILES)
            self.job.store.delete(key)
            self.files += 1

"""The SQL of jobs. Leases are measured by the database's clock: machines disagree about theirs."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, aliased

from app.core.pagination import Key, Slice, fetch_slice
from app.jobs.models import Job, JobChunk, JobKind, JobLogLine, JobState, WorkerHeartbeat

TRAIN_TURN_LOCK = 7_201_644_011
ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
NEWEST_FIRST = Key((Job.created_at, Job.id), ("created_at", "id"), descending=True)


def clock(session: Session) -> datetime:
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def claimable(row: type[Job] | type[JobChunk]) -> ColumnElement[bool]:
    """Nobody works on it: queued (and not pausing), or running under a lease that ran out."""
    moment = func.clock_timestamp()
    rested = or_(row.lease_expires_at.is_(None), row.lease_expires_at <= moment)
    return or_(
        and_(row.state == JobState.QUEUED, rested),
        and_(row.state == JobState.RUNNING, row.lease_expires_at <= moment),
    )


def get(session: Session, job_id: UUID) -> Job | None:
    return session.get(Job, job_id, populate_existing=True)


def lock(session: Session, job_id: UUID, *conditions: ColumnElement[bool]) -> Job | None:
    """The job, held until the transaction ends; None when it is not as `conditions` say."""
    return session.scalar(
        select(Job)
        .where(Job.id == job_id, *conditions)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def lock_at_once(session: Session, job_id: UUID, *conditions: ColumnElement[bool]) -> Job | None:
    """As `lock`, but None also when somebody has it: for whoever holds a chunk already."""
    return session.scalar(
        select(Job)
        .where(Job.id == job_id, *conditions)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )


def listing(
    session: Session,
    conditions: Mapping[str, Any],
    *,
    cursor: str | None,
    limit: int,
) -> Slice[Job]:
    """Jobs, newest first, whose columns have these values; None means any."""
    statement = select(Job).filter_by(**{k: v for k, v in conditions.items() if v is not None})
    return fetch_slice(session, statement, NEWEST_FIRST, cursor=cursor, limit=limit)


def renew(
    session: Session, job_id: UUID, token: int, *, lease: timedelta, news: Mapping[str, Any]
) -> bool | None:
    """Extend a lease and note `news`; whether to cancel, or None when the lease is lost."""
    return session.scalar(
        update(Job)
        .where(Job.id == job_id, Job.fencing_token == token, Job.state == JobState.RUNNING)
        .values(lease_expires_at=func.clock_timestamp() + lease, **news)
        .returning(Job.cancel_requested)
        .execution_options(synchronize_session=False)
    )


def claimable_jobs(session: Session, *, kinds: Collection[JobKind], limit: int) -> list[Job]:
    waiting = (
        select(Job)
        .where(Job.kind.in_(kinds), claimable(Job))
        .order_by(Job.created_at, Job.id)
        .limit(limit)
    )
    return list(session.scalars(waiting))


def lock_training_turn(session: Session) -> None:
    """Claims of trainings are decided one after the other."""
    session.execute(select(func.pg_advisory_xact_lock(TRAIN_TURN_LOCK)))


def due_training(session: Session) -> Job | None:
    """The training whose turn it is: an interrupted one first, then projects in turn."""
    running, earlier = aliased(Job), aliased(Job)
    occupied = select(running.id).where(
        running.project_id == Job.project_id,
        running.kind == JobKind.TRAIN,
        running.state == JobState.RUNNING,
        running.id != Job.id,
    )
    last_start = (
        select(func.max(earlier.started_at))
        .where(earlier.project_id == Job.project_id, earlier.kind == JobKind.TRAIN)
        .scalar_subquery()
    )
    due = (
        select(Job)
        .where(Job.kind == JobKind.TRAIN, claimable(Job), ~occupied.exists())
        .order_by(Job.started_at.is_(None), last_start.asc().nulls_first(), Job.created_at, Job.id)
        .limit(1)
    )
    return session.scalar(due)


def add_log_lines(
    session: Session, job_id: UUID, lines: Sequence[tuple[datetime, str, str]]
) -> None:
    """Lines are (time, level, message)."""
    if lines:
        rows = [{"job_id": job_id, "at": at, "level": lv, "message": m} for at, lv, m in lines]
        session.execute(insert(JobLogLine), rows)


def log_lines(
    session: Session, job_id: UUID, *, newest_first: bool, cursor: str | None, limit: int
) -> Slice[JobLogLine]:
    statement = select(JobLogLine).where(JobLogLine.job_id == job_id)
    key = Key((JobLogLine.id,), ("id",), descending=newest_first)
    return fetch_slice(session, statement, key, cursor=cursor, limit=limit)


def ended(session: Session, job_ids: Collection[UUID]) -> set[UUID]:
    """Those of these jobs that still need nothing: ended, or gone altogether."""
    active = select(Job.id).where(Job.id.in_(job_ids), Job.state.not_in(ENDED))
    return set(job_ids) - set(session.scalars(active))


def add_chunks(session: Session, job_id: UUID, payloads: Sequence[dict[str, Any]]) -> None:
    rows = [
        {"job_id": job_id, "number": number, "payload": payload}
        for number, payload in enumerate(payloads)
    ]
    session.execute(insert(JobChunk), rows)


def lock_chunk(
    session: Session, job_id: UUID, number: int, *conditions: ColumnElement[bool]
) -> JobChunk | None:
    return session.scalar(
        select(JobChunk)
        .where(JobChunk.job_id == job_id, JobChunk.number == number, *conditions)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def renew_chunk(
    session: Session,
    job_id: UUID,
    number: int,
    token: int,
    *,
    lease: timedelta,
    news: Mapping[str, Any],
) -> bool | None:
    """As `renew`; also lost once the whole job has ended."""
    return session.scalar(
        update(JobChunk)
        .where(
            JobChunk.job_id == job_id,
            JobChunk.number == number,
            JobChunk.fencing_token == token,
            JobChunk.state == JobState.RUNNING,
            Job.id == JobChunk.job_id,
            Job.state == JobState.RUNNING,
        )
        .values(lease_expires_at=func.clock_timestamp() + lease, **news)
        .returning(Job.cancel_requested)
        .execution_options(synchronize_session=False)
    )


def claimable_chunks(session: Session, *, limit: int) -> list[tuple[Job, int]]:
    waiting = (
        select(Job, JobChunk.number)
        .join(Job, Job.id == JobChunk.job_id)
        .where(Job.state == JobState.RUNNING, claimable(JobChunk))
        .order_by(Job.created_at, JobChunk.job_id, JobChunk.number)
        .limit(limit)
    )
    return [(job, number) for job, number in session.execute(waiting)]


def count_chunks(session: Session, job_id: UUID) -> dict[JobState, int]:
    counts = (
        select(JobChunk.state, func.count())
        .where(JobChunk.job_id == job_id)
        .group_by(JobChunk.state)
    )
    return {JobState(state): count for state, count in session.execute(counts)}


def mean_chunk_progress(session: Session, job_id: UUID) -> float:
    mean = select(func.avg(JobChunk.progress)).where(JobChunk.job_id == job_id)
    return float(session.scalar(mean) or 0.0)


def has_chunk_at_work(session: Session, job_id: UUID) -> bool:
    at_work = select(JobChunk.number).where(
        JobChunk.job_id == job_id,
        JobChunk.state == JobState.RUNNING,
        JobChunk.lease_expires_at > func.clock_timestamp(),
    )
    return session.scalar(select(at_work.exists())) or False


def chunk_results(session: Session, job_id: UUID) -> list[dict[str, Any]]:
    results = select(JobChunk.result).where(JobChunk.job_id == job_id).order_by(JobChunk.number)
    return [result or {} for result in session.scalars(results)]


def beat(session: Session, *, name: str, queue: str, device: str) -> None:
    row = upsert(WorkerHeartbeat).values(
        name=name, queue=queue, device=device, at=func.clock_timestamp()
    )
    session.execute(
        row.on_conflict_do_update(
            index_elements=["name"],
            set_={"queue": queue, "device": device, "at": func.clock_timestamp()},
        )
    )


def seconds_since_beat(session: Session, name: str) -> float | None:
    age = func.extract("epoch", func.clock_timestamp() - WorkerHeartbeat.at)
    seconds = session.scalar(select(age).where(WorkerHeartbeat.name == name))
    return None if seconds is None else float(seconds)


def forget_heartbeats(session: Session, *, older_than: timedelta) -> None:
    silent = WorkerHeartbeat.at < func.clock_timestamp() - older_than
    session.execute(delete(WorkerHeartbeat).where(silent))

"""Doorbells: Celery messages that tell a worker to look at a row. They leave after the commit.

The rows are the outbox: a lost message costs time, never work, because the sweep rings again for
every row that waits. Only names and JSON cross to the workers; `app` never imports them.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import structlog
from celery import Celery
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.core.config import get_settings

log = structlog.get_logger()
_WAITING = "doorbells"

LEFT_ALONE_SECONDS = 5.0
_left_alone_until: dict[str, float] = {}


class Queue(StrEnum):
    CPU = "cpu"
    INFER = "infer"
    TRAIN = "train"


@dataclass(frozen=True)
class Doorbell:
    task: str
    queue: Queue
    arguments: dict[str, Any]


def celery_broker_url(url: str) -> str:
    """Celery's name for a Unix-socket Redis URL; redis-py itself writes `unix://` and `db=`."""
    if not url.startswith("unix://"):
        return url
    return url.replace("unix://", "redis+socket://", 1).replace("db=", "virtual_host=")


@lru_cache(maxsize=4)
def sender(broker_url: str) -> Celery:
    """A Celery application that only sends. It fails fast, so that a dead broker blocks nobody."""
    application = Celery("kizu-sender", broker=celery_broker_url(broker_url))
    application.conf.update(
        task_serializer="json",
        task_ignore_result=True,
        broker_connection_timeout=2,
        broker_transport_options={"socket_connect_timeout": 2, "socket_timeout": 2},
        task_publish_retry=False,
    )
    return application


def ring(session: Session, task: str, queue: Queue, **arguments: Any) -> None:
    """Ask for `task` once this session's transaction has been committed."""
    session.info.setdefault(_WAITING, []).append(Doorbell(task, queue, arguments))


@event.listens_for(Session, "after_commit")
def _send_after_commit(session: Session) -> None:
    for bell in session.info.pop(_WAITING, []):
        send(bell)


@event.listens_for(Session, "after_rollback")
def _forget_after_rollback(session: Session) -> None:
    session.info.pop(_WAITING, None)


def send(bell: Doorbell) -> None:
    """Ring now. A broker that does not answer is logged, and left alone for a moment, so that a
    request with many photos waits for it once only: the sweep will ring again."""
    broker = get_settings().broker_url
    if broker is None:
        log.warning("no broker configured", task=bell.task)
        return
    if time.monotonic() < _left_alone_until.get(broker, 0.0):
        return
    try:
        sender(broker).send_task(bell.task, kwargs=bell.arguments, queue=bell.queue.value)
    except Exception as error:
        _left_alone_until[broker] = time.monotonic() + LEFT_ALONE_SECONDS
        log.warning("broker does not answer", task=bell.task, error=str(error))

"""The Celery application of all workers: broker, queues, tasks, the clock for the sweep.

No result backend: what a task leaves is in the database. Messages are acknowledged late, and
losing or repeating one does no harm (docs/adr/0003). Nothing here loads the ML stack.
"""

import logging
import os
import pkgutil
import signal
import socket
import sys
from typing import Any

from celery import Celery, signals

import worker.tasks
from app.core.config import get_settings
from app.core.logging import configure_logging
from app.core.queue import Queue, celery_broker_url
from worker import heartbeat, process

EXIT_WITHIN_SECONDS = 9
SWEEP_TASK = "worker.tasks.sweep.run"
SWEEP_EXPIRES_SECONDS = 600


def make_application() -> Celery:
    settings = get_settings()
    application = Celery(
        "kizu",
        broker=celery_broker_url(settings.broker_url) if settings.broker_url else None,
        include=[
            module.name for module in pkgutil.iter_modules(worker.tasks.__path__, "worker.tasks.")
        ],
    )
    application.conf.update(
        accept_content=["json"],
        beat_schedule={
            "sweep": {
                "task": SWEEP_TASK,
                "schedule": settings.sweep_seconds,
                "options": {"queue": Queue.CPU.value, "expires": SWEEP_EXPIRES_SECONDS},
            }
        },
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 3600},
        task_acks_late=True,
        task_default_queue=Queue.CPU.value,
        task_ignore_result=True,
        task_serializer="json",
        timezone="UTC",
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
    )
    return application


# Workers share the cores, and threads of the ML stack that spin while they wait take them from the
# other worker. The variable is read when the stack is loaded, which is later.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
application = make_application()


@signals.setup_logging.connect
def set_up_logging(loglevel: int | str = logging.INFO, **_: Any) -> None:
    settings = get_settings()
    configure_logging(settings.log_level, json=settings.log_json)
    line = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
    logging.basicConfig(level=loglevel, format=line, stream=sys.stderr)


@signals.celeryd_init.connect
@signals.beat_init.connect
def ensure_configured(**_: Any) -> None:
    settings = get_settings()
    if settings.broker_url is None or settings.database_url is None:
        raise SystemExit(
            "KIZU_BROKER_URL and KIZU_DATABASE_URL must be set: start workers by `kizu worker`."
        )


@signals.worker_ready.connect
def start_heartbeat(sender: Any, **_: Any) -> None:
    process.end_when_work_hangs()
    queues = sorted(sender.app.amqp.queues.consume_from)
    heartbeat.start(sender.hostname, queues, then=sweep_if_overdue)


@signals.beat_init.connect
def start_heartbeat_of_beat(**_: Any) -> None:
    heartbeat.start(
        f"{heartbeat.BEAT}-{os.getpid()}@{socket.gethostname()}",
        [heartbeat.BEAT],
        then=lambda: None,
    )


def sweep_if_overdue() -> None:
    from worker.tasks import sweep

    sweep.run_if_overdue()


@signals.worker_process_init.connect
def prepare_process(**_: Any) -> None:
    process.end_when_work_hangs()


@signals.worker_shutting_down.connect
def stop_work(**_: Any) -> None:
    """SIGTERM: running work leaves in good order; work that does not is cut short.

    The alarm ends this process whatever it is in the middle of; its leases then run out.
    """
    process.ask_to_stop()
    signal.alarm(EXIT_WITHIN_SECONDS)

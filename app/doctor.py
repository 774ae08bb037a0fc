"""`kizu doctor`: what works and what does not, each in one plain sentence with its remedy."""

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import redis
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from app.commands import WorkerQueue
from app.core import migrate
from app.core.clock import now
from app.core.config import Settings
from app.core.db import make_engine
from app.core.embedded import redis_url
from app.core.errors import KizuError
from app.core.storage import make_store
from app.jobs.models import WorkerHeartbeat
from app.stack import HEALTH_PATH, local_url
from app.training.models import ModelState, ModelVersion

LOW_DISK_BYTES = 5 * 10**9
SILENT_AFTER = timedelta(minutes=1)
PROBE_KEY = "tmp/doctor"
BACKBONES = Path(__file__).resolve().parents[1] / "worker" / "learning"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check. Only a finding that is not `ok` makes `doctor` exit with 1."""

    subject: str
    ok: bool
    sentence: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check in turn; one that fails never hides the next."""
    checks: tuple[Callable[[Settings], Finding], ...] = (
        check_python,
        check_disk,
        check_database,
        check_vectors,
        check_broker,
        check_storage,
        check_weights,
        check_workers,
    )
    for check in checks:
        yield check(settings)


def check_python(_settings: Settings) -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, f"Python {platform.python_version()} on {platform.machine()}.")


def check_disk(settings: Settings) -> Finding:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data_dir).free
    sentence = f"{free / 1e9:.1f} GB are free at {settings.data_dir}."
    if free < LOW_DISK_BYTES:
        sentence += " Free some space, or move the data directory to a larger disk."
    return Finding("Disk", free >= LOW_DISK_BYTES, sentence)


def check_database(settings: Settings) -> Finding:
    engine = _engine(settings)
    try:
        here, head = migrate.current(engine), migrate.head()
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        return Finding("Database", False, f"It cannot be reached: {reason}")
    finally:
        engine.dispose()
    if here != head:
        return Finding(
            "Database",
            False,
            f"Its schema is at {here or 'nothing'}, not {head}. Run: kizu migrate",
        )
    return Finding("Database", True, f"Reachable, schema at {head}.")


def check_vectors(settings: Settings) -> Finding:
    """Searching needs the extension `vector`, which only a superuser can create."""
    engine = _engine(settings)
    try:
        with engine.connect() as connection:
            query = text(
                "SELECT installed_version FROM pg_available_extensions WHERE name='vector'"
            )
            row = connection.execute(query).first()
    except OperationalError:
        return Finding("Vectors", False, "Unknown, because the database cannot be reached.")
    finally:
        engine.dispose()
    if row is None:
        return Finding("Vectors", False, "The server lacks pgvector: install that package there.")
    if row.installed_version is None:
        sentence = "Searching is off until a superuser says: CREATE EXTENSION vector;"
        return Finding("Vectors", True, sentence)
    return Finding("Vectors", True, f"pgvector {row.installed_version}.")


def check_broker(settings: Settings) -> Finding:
    url = redis_url(settings.broker_url or "")
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        return Finding("Broker", False, f"It cannot be reached: {error}")
    return Finding("Broker", True, "Reachable.")


def check_storage(settings: Settings) -> Finding:
    try:
        store = make_store(settings)
        store.put(PROBE_KEY, b"kizu")
        intact = store.get(PROBE_KEY) == b"kizu"
        store.delete(PROBE_KEY)
    except (OSError, KizuError) as error:
        return Finding("Storage", False, f"It cannot be written: {error}")
    where = settings.storage_url or settings.blob_dir
    return Finding("Storage", intact, f"{where} can be written and read.")


def check_weights(settings: Settings) -> Finding:
    """The backbone that ships with Kizu, and the files of every live model."""
    if not any(BACKBONES.rglob("*.safetensors")):
        return Finding("Weights", False, f"No backbone lies under {BACKBONES}: install Kizu again.")
    engine = _engine(settings)
    try:
        with Session(engine) as session:
            live = select(ModelVersion).where(ModelVersion.state == ModelState.LIVE)
            models = list(session.scalars(live))
        store = make_store(settings)
        lost = [m for m in models if not any(store.keys(m.weights_prefix))]
    except (SQLAlchemyError, OSError) as error:
        return Finding("Weights", False, f"Unknown: {type(error).__name__}.")
    finally:
        engine.dispose()
    if lost:
        numbers = ", ".join(str(model.number) for model in lost)
        return Finding("Weights", False, f"Files of live model {numbers} are gone: train again.")
    return Finding("Weights", True, f"The backbone and {len(models)} live models are there.")


def queues_served(settings: Settings) -> set[str]:
    """Queues with a fresh heartbeat row, and `beat`; a broker cannot tell who is alive."""
    engine = _engine(settings)
    try:
        with Session(engine) as session:
            fresh = WorkerHeartbeat.at > now() - SILENT_AFTER
            return set(session.scalars(select(WorkerHeartbeat.queue).where(fresh)))
    finally:
        engine.dispose()


def api_answers(settings: Settings) -> bool:
    try:
        return httpx.get(f"{local_url(settings)}{HEALTH_PATH}", timeout=5).is_success
    except httpx.HTTPError:
        return False


def check_workers(settings: Settings) -> Finding:
    try:
        alive = queues_served(settings)
    except SQLAlchemyError:
        return Finding("Workers", False, "Unknown, because the database cannot be reached.")
    missing = [queue.value for queue in WorkerQueue if queue.value not in alive]
    if missing:
        commands = ", ".join(f"kizu worker --queue {queue}" for queue in missing)
        return Finding("Workers", False, f"None serves {', '.join(missing)}. Start: {commands}")
    return Finding("Workers", True, "One or more serve each queue.")


def _engine(settings: Settings) -> Engine:
    assert settings.database_url is not None
    return make_engine(settings.database_url)

"""`python -m benchmarks.service`: start, memory and upload rate of the API, stop of a whole Kizu.

Bare operations of the same run: a FastAPI application with one route (start, memory), and hashing
and writing the same bytes to the same disk (upload).
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from app.commands import WorkerQueue, api_command
from app.core import migrate
from app.core.config import Settings, get_settings
from app.core.db import make_engine, make_sessions, transaction
from app.core.embedded import embedded_services
from app.doctor import queues_served
from app.identity import service as identity
from app.identity.models import Role
from app.identity.permissions import Permission
from app.stack import as_environment, free_port, running_stack

BARE = "from fastapi import FastAPI\napp = FastAPI()\napp.get('/health')(lambda: {})\n"
BATCH = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.photos)
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def measure(photos: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, embedded_services(Path(folder)) as services:
        settings = get_settings().model_copy(
            update={
                "data_dir": Path(folder),
                "database_url": services.database_url,
                "broker_url": services.broker_url,
                "port": free_port(),
            }
        )
        migrate.upgrade(services.database_url)
        bare = bare_start(Path(folder))
        os.environ.update(as_environment(settings))
        with serving(api_command(settings), settings.port) as (process, start_seconds):
            idle = rss_mb(process.pid)
            rate = upload_rate(settings, photos)
            after = rss_mb(process.pid)
        stop_seconds = stack_stop_seconds(settings)
        return {
            "api_start_seconds": round(start_seconds, 2),
            "bare_start_seconds": round(bare["seconds"], 2),
            "start_ratio": round(start_seconds / bare["seconds"], 2),
            "api_rss_mb": round(idle, 1),
            "api_rss_mb_after_uploads": round(after, 1),
            "bare_rss_mb": round(bare["rss_mb"], 1),
            "rss_ratio": round(after / bare["rss_mb"], 2),
            "stack_stop_seconds": round(stop_seconds, 2),
            **rate,
        }


def bare_start(folder: Path) -> dict[str, float]:
    (folder / "bare.py").write_text(BARE)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(folder)]
    with serving([*command, "--port", str(port)], port) as (process, seconds):
        return {"seconds": seconds, "rss_mb": rss_mb(process.pid)}


@contextmanager
def serving(command: list[str], port: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The running server and the seconds from its start to its first good answer."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process, _await_answer(f"http://127.0.0.1:{port}/health", started)
    finally:
        process.terminate()
        process.wait()


def _await_answer(url: str, started: float) -> float:
    while time.perf_counter() - started < 60:
        try:
            httpx.get(url, timeout=2).raise_for_status()
            return time.perf_counter() - started
        except httpx.HTTPError:
            time.sleep(0.02)
    raise TimeoutError(f"no answer from {url}")


def stack_stop_seconds(settings: Settings) -> float:
    """From the word to stop until the API, the workers and beat are gone; ten are promised."""
    with running_stack(settings, on_crash=lambda child, _: print(f"{child.name} crashed")):
        while not queues_served(settings) >= set(WorkerQueue):
            time.sleep(0.2)
        told = time.perf_counter()
    return time.perf_counter() - told


def rss_mb(pid: int) -> float:
    """Resident memory now, in MB of 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def upload_rate(settings: Settings, photos: int) -> dict[str, float]:
    """Photos per second through the REST API, and of hashing and writing the same bytes."""
    files = [_photo(seed) for seed in range(photos)]
    client = _client(settings)
    client.post("/projects", json={"slug": "bench", "name": "Bench"}).raise_for_status()
    started = time.perf_counter()
    for first in range(0, photos, BATCH):
        parts = [
            ("files", (f"{first + i}.png", content))
            for i, content in enumerate(files[first : first + BATCH])
        ]
        client.post("/projects/bench/images", files=parts).raise_for_status()
    seconds = time.perf_counter() - started
    bare = _bare_write_seconds(settings.data_dir / "bare", files)
    return {
        "upload_photos_per_second": round(photos / seconds, 1),
        "bare_photos_per_second": round(photos / bare, 1),
        "upload_ratio": round(seconds / bare, 1),
    }


def _bare_write_seconds(folder: Path, files: list[bytes]) -> float:
    folder.mkdir()
    started = time.perf_counter()
    for content in files:
        path = folder / hashlib.sha256(content).hexdigest()
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return time.perf_counter() - started


def _photo(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _client(settings: Settings) -> httpx.Client:
    assert settings.database_url is not None
    engine = make_engine(settings.database_url)
    with transaction(make_sessions(engine)) as session:
        user = identity.create_user(
            session, email="bench@example.com", display_name="Bench", role=Role.ADMIN
        )
        _, token = identity.create_token(
            session, user_id=user.id, name="bench", scopes=list(Permission)
        )
    engine.dispose()
    return httpx.Client(
        base_url=f"http://127.0.0.1:{settings.port}/api/v1",
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )


if __name__ == "__main__":
    main()

"""Database and broker die in the middle of the main job: they come back, and nothing is lost."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from app.stack import free_port
from worker.learning.rendering import render_surface

KIZU = str(Path(sys.executable).with_name("kizu"))
PHOTOS = 12


@dataclass
class Installation:
    """A whole Kizu under `kizu up`, as its API is seen from outside."""

    pid: int
    api: httpx.Client

    def pid_of(self, server: str) -> int:
        """The child of `kizu up` that is `postgres` or `valkey-server`."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                name, fields = (entry / "stat").read_text().split(" (", 1)[1].rsplit(") ", 1)
            except OSError:
                continue
            state, parent = fields.split()[:2]
            if (name, int(parent)) == (server, self.pid) and state != "Z":
                return int(entry.name)
        raise AssertionError(f"{server} does not run")

    def kill(self, server: str) -> None:
        os.kill(self.pid_of(server), signal.SIGKILL)

    def is_healthy(self) -> bool:
        try:
            return self.api.get("/health").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    folder, port = tmp_path / "data", free_port()
    environment = {n: v for n, v in os.environ.items() if not n.startswith("KIZU_")}
    environment["KIZU_SWEEP_SECONDS"] = "2"

    def kizu(*arguments: str) -> str:
        command = [KIZU, *arguments, "--data-dir", str(folder)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    with (tmp_path / "log").open("wb") as log:
        up = subprocess.Popen(
            [KIZU, "up", "--data-dir", str(folder), "--port", str(port)],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as api:
            kizu_runs = Installation(up.pid, api)
            eventually(kizu_runs.is_healthy)
            kizu("user", "add", "hana@example.com", "--role", "admin", "--password", "long enough")
            api.headers["Authorization"] = f"Bearer {kizu('token', 'create', 'hana@example.com')}"
            yield kizu_runs
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=30)


def eventually(is_so: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def project_with_photos(api: httpx.Client) -> str:
    """The address of a project whose photos are uploaded, ingested and labelled."""
    made = api.post("/api/v1/projects", json={"slug": "steel", "name": "S", "evaluation_rate": 0})
    made.raise_for_status()
    address = "/api/v1/projects/steel"
    label = {"key": "stain", "names": {"en": "Stain"}}
    api.post(f"{address}/labels", json=label).raise_for_status()
    files = [("files", (f"{number}.png", photo(number))) for number in range(PHOTOS)]
    items = api.post(f"{address}/images", files=files).raise_for_status().json()["items"]
    eventually(lambda: api.get(address).json()["counters"].get("ready") == PHOTOS)
    for number, item in enumerate(items[: PHOTOS // 2]):
        value = "present" if number % 2 else "absent"
        api.post(
            f"{address}/images/{item['image']['id']}/annotations",
            json={"values": {"stain": value}, "is_complete": True},
        ).raise_for_status()
    return address


def photo(number: int) -> bytes:
    kinds = ["stain"] if number % 2 else []
    render = render_surface(np.random.default_rng(number), 64, kinds, surface="steel")
    buffer = io.BytesIO()
    Image.fromarray(render.pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.timeout(300)
def test_a_training_outlives_the_death_of_database_and_broker(installation):
    api = installation.api
    address = project_with_photos(api)
    training = {"time_budget_seconds": 15, "resolution": 64}
    job = f"/api/v1/jobs/{api.post(f'{address}/trainings', json=training).json()['id']}"
    eventually(lambda: api.get(job).json()["progress"] > 0.05)

    installation.kill("postgres")
    eventually(installation.is_healthy)
    installation.kill("valkey-server")
    eventually(lambda: api.get(job).json()["state"] in {"succeeded", "failed"}, seconds=150)
    ended = api.get(job).json()
    assert ended["state"] == "succeeded", ended
    versions = api.get(f"{address}/models").json()["items"]
    assert [version["number"] for version in versions] == [1]

    # A message sent through the new broker arrives: the prediction after the training ends too.
    prediction = f"/api/v1/jobs/{ended['result']['prediction_job_id']}"
    eventually(lambda: api.get(prediction).json()["state"] == "succeeded", seconds=90)
    assert api.get(address).json()["counters"]["annotated"] == PHOTOS // 2


def test_a_database_that_is_away_is_a_problem_and_not_a_crash(installation):
    server = installation.pid_of("postgres")
    os.kill(server, signal.SIGKILL)
    answer = installation.api.get("/api/v1/projects")
    if answer.status_code != 200:
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "retry-after" in answer.headers
    eventually(installation.is_healthy)
    assert installation.pid_of("postgres") != server
    assert installation.api.get("/api/v1/projects").status_code == 200

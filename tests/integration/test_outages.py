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
from typing import Any

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

    def pid_of(self, server: str) -> int | None:
        """The child of `kizu up` that is `postgres` or `valkey-server`; None while it is out."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                name, fields = (entry / "stat").read_text().split(" (", 1)[1].rsplit(") ", 1)
            except OSError:
                continue
            state, parent = fields.split()[:2]
            if (name, int(parent)) == (server, self.pid) and state != "Z":
                return int(entry.name)
        return None

    def kill(self, server: str) -> int:
        """Kill a server with signal 9; the process that it was."""
        victim = self.pid_of(server)
        assert victim is not None, f"{server} does not run"
        os.kill(victim, signal.SIGKILL)
        return victim

    def await_successor(self, server: str, victim: int) -> None:
        """Wait until another process has taken the killed one's place and Kizu answers."""
        eventually(lambda: self.pid_of(server) not in {victim, None})
        eventually(self.is_healthy)

    def is_healthy(self) -> bool:
        try:
            return self.api.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, address: str) -> dict[str, Any]:
        """What stands there; asked again where the answer is 503, as that answer says to do."""
        while (answer := self.api.get(address)).status_code == 503:
            time.sleep(0.2)
        return answer.raise_for_status().json()


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
    address = project_with_photos(installation.api)
    training = {"time_budget_seconds": 15, "resolution": 64}
    started = installation.api.post(f"{address}/trainings", json=training).raise_for_status().json()
    job = f"/api/v1/jobs/{started['id']}"
    eventually(lambda: installation.get(job)["progress"] > 0.05)

    installation.await_successor("postgres", installation.kill("postgres"))
    installation.await_successor("valkey-server", installation.kill("valkey-server"))
    eventually(lambda: installation.get(job)["state"] in {"succeeded", "failed"}, seconds=150)
    ended = installation.get(job)
    assert ended["state"] == "succeeded", ended
    versions = installation.get(f"{address}/models")["items"]
    assert [version["number"] for version in versions] == [1]

    # A message sent through the new broker arrives: the prediction after the training ends too.
    prediction = f"/api/v1/jobs/{ended['result']['prediction_job_id']}"
    eventually(lambda: installation.get(prediction)["state"] == "succeeded", seconds=90)
    assert installation.get(address)["counters"]["annotated"] == PHOTOS // 2


def test_a_database_that_is_away_is_a_problem_and_not_a_crash(installation):
    victim = installation.kill("postgres")
    answer = installation.api.get("/api/v1/projects")
    if answer.status_code != 200:
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "retry-after" in answer.headers
    installation.await_successor("postgres", victim)
    assert installation.get("/api/v1/projects")["items"] == []

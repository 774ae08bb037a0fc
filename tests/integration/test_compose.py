"""docker-compose.yml: complete, pinned, and every Kizu command in it works outside Docker too."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core import migrate
from app.stack import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
KIZU = {name: service for name, service in SERVICES.items() if "build" in service}
KIZU_COMMAND = str(Path(sys.executable).with_name("kizu"))
HEALTHY_WITHIN_S = 90
STOPPED_WITHIN_S = 60
# A worker's own alarm may end it where the machine is too busy for good order.
ENDS = {0, -signal.SIGTERM, -signal.SIGALRM}


def command_of(service: dict[str, Any]) -> list[str]:
    program, *arguments = service["command"]
    assert program == "kizu"
    return [KIZU_COMMAND, *arguments]


def distinct_long_running() -> list[str]:
    """One service per command; the GPU's differ from the CPU's only in their reservation."""
    by_command = {tuple(s["command"]): name for name, s in KIZU.items() if name != "migrate"}
    return sorted(by_command.values())


def is_healthy(service: dict[str, Any]) -> bool:
    kind, program, *arguments = service["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "kizu")
    return subprocess.run([KIZU_COMMAND, *arguments], check=False).returncode == 0


@pytest.mark.parametrize("name", distinct_long_running())
def test_command_starts_becomes_healthy_and_stops(name, settings, monkeypatch, tmp_path):
    monkeypatch.setenv("KIZU_PORT", str(free_port()))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command_of(KIZU[name]), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        while not (healthy := is_healthy(KIZU[name])) and time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.5)
        assert healthy, (tmp_path / "log").read_text()[-2000:]
        time.sleep(1)
        assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=STOPPED_WITHIN_S) in ENDS
    finally:
        process.kill()
        process.wait()


def test_migrate_brings_an_empty_database_to_head(empty_database_url, settings, monkeypatch):
    monkeypatch.setenv("KIZU_DATABASE_URL", empty_database_url)
    subprocess.run(command_of(KIZU["migrate"]), check=True)
    assert migrate.is_at_head(empty_database_url)


def test_health_check_of_a_worker_that_is_not_there_fails(settings):
    assert not is_healthy(KIZU["worker-train"])


def test_every_service_is_watched():
    watched = {name for name, s in SERVICES.items() if "test" in s.get("healthcheck", {})}
    assert set(SERVICES) - watched == {"migrate"}


def test_gpu_is_reserved_only_under_its_profile():
    reserved = {name for name, s in SERVICES.items() if "devices" in str(s.get("deploy"))}
    assert reserved == {name for name, s in SERVICES.items() if s.get("profiles") == ["gpu"]}
    assert reserved == {"worker-gpu-infer", "worker-gpu-train"}


def test_each_profile_serves_every_queue():
    for profile in ("cpu", "gpu"):
        active = [s for s in KIZU.values() if profile in s.get("profiles", [profile])]
        queues = {s["command"][-1] for s in active if s["command"][1] == "worker"}
        assert queues == {"cpu", "infer", "train"}


def test_images_of_others_are_pinned():
    for name, service in SERVICES.items():
        if name not in KIZU:
            assert re.search(r":[\d.]+[\w.-]*$", service["image"]), service["image"]


def test_secrets_come_from_env_and_the_example_names_them_all():
    text = (REPOSITORY / "docker-compose.yml").read_text()
    example = (REPOSITORY / ".env.example").read_text()
    used = set(re.findall(r"\$\{(\w+)", text))
    offered = set(re.findall(r"^(\w+)=", example, flags=re.MULTILINE))
    assert used == offered - {"COMPOSE_PROFILES"}
    assert not re.search(r"(?:PASSWORD|SECRET)\w*[:=]\s*[\w-]+\s*$", text, flags=re.MULTILINE)


def test_volumes_are_named():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]


def test_images_are_built_from_targets_that_exist():
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", (REPOSITORY / "Dockerfile").read_text(), re.M))
    targets = {service["build"]["target"] for service in KIZU.values()}
    assert targets == {"api", "worker"} <= stages

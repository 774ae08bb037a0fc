"""The main job by real workers: upload, annotate, train, predict; and what cannot be learned."""

import os
import shutil
import signal
import time
from dataclasses import dataclass
from uuid import UUID

import pytest
import torch

from app.core.queue import Queue
from app.core.storage import make_store
from app.jobs import service as jobs
from app.jobs.contracts import TrainPayload
from app.jobs.stages import JobStage
from app.training.models import ModelVersion
from tests.integration.worker.parts import ENDED, QUICK, Factory, age_the_only_model
from worker.base_task import run_job
from worker.engine.training import frozen_snapshot, read_settings
from worker.tasks.predict import run as predict
from worker.tasks.predict import run_chunk
from worker.tasks.train import run as train

PATIENCE_S = 300
GOOD, BRIGHT, DARK = (), ("bright",), ("dark",)


@pytest.fixture
def quick_leases(monkeypatch):
    """Workers started from here are taken over seconds after their death."""
    monkeypatch.setenv("KIZU_JOB_LEASE_SECONDS", "6")


@dataclass
class Shift:
    """Photos of every kind, some labelled."""

    factory: Factory
    labeled: list[str]
    unlabeled: list[str]
    evaluation: list[str]
    test: list[str]

    @classmethod
    def begin(cls, client, session, settings) -> "Shift":
        factory = Factory.open(client, "parts", "bright", "dark")
        mix = [GOOD, BRIGHT, DARK, GOOD]
        labeled, unlabeled = factory.upload(mix * 6), factory.upload(mix * 2)
        shift = cls(
            factory,
            labeled,
            unlabeled,
            factory.upload(mix, split="evaluation"),
            factory.upload(mix, split="test"),
        )
        factory.ingest_here(session, settings)
        factory.annotate(shift.labeled + shift.evaluation)
        return shift


def kill_in_the_middle(factory, job_id, pid):
    """Once confidence is measured, which leaves checkpoints; most of the training is to come."""
    deadline = time.monotonic() + PATIENCE_S
    while factory.job(job_id)["stage"] != JobStage.LEARN:
        assert time.monotonic() < deadline, factory.job(job_id)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    job = factory.job(job_id)
    assert job["state"] == "running"
    assert job["metrics"]["loss"] > 0


def ring_until_taken_over(session, factory, job_id):
    """What the sweep does, until a second attempt runs."""
    deadline = time.monotonic() + PATIENCE_S
    while factory.job(job_id)["attempts"] < 2:
        assert time.monotonic() < deadline, factory.job(job_id)
        jobs.ring_waiting(session, {Queue.TRAIN})
        session.commit()
        time.sleep(0.1)


def stages_until_the_end(factory, job_id):
    """Every stage that the job passes through from now on."""
    stages = set()
    deadline = time.monotonic() + PATIENCE_S
    while (job := factory.job(job_id))["state"] not in ENDED:
        assert time.monotonic() < deadline, job
        stages.add(job["stage"])
        time.sleep(0.05)
    return stages


def check_the_model(shift, job):
    assert (job["state"], job["attempts"]) == ("succeeded", 2), job
    (model,) = shift.factory.get("models")["items"]
    assert model["id"] == job["result"]["model_version_id"]
    assert (model["number"], model["state"]) == (1, "live")
    assert model["labels"] == ["bright", "dark"]
    detail = shift.factory.get(f"models/{model['id']}")
    assert detail["snapshot_counts"]["labeled"] == len(shift.labeled)
    assert detail["snapshot_counts"]["evaluation"] == len(shift.evaluation)
    assert detail["snapshot_counts"]["unlabeled"] == len(shift.unlabeled)
    return model


def check_the_predictions(shift, model, job, settings):
    factory = shift.factory
    assert job["state"] == "succeeded", job
    assert job["result"]["images"] == len(factory.truth)
    everything = factory.get(f"models/{model['id']}/predictions", limit=500)["items"]
    assert len(everything) == len(factory.truth)
    vault = factory.get(f"models/{model['id']}/predictions", split="test")["items"]
    assert {row["image_id"] for row in vault} == set(shift.test)
    assert all(set(row["probabilities"]) == {"bright", "dark"} for row in vault)
    assert all(0 <= row["margin"] <= 0.5 and 0 <= row["novelty"] < 1 for row in everything)
    known = [row["novelty"] for row in everything if row["image_id"] in shift.labeled]
    assert max(known) < 0.05, "a labelled photo is not novel"
    suggested = factory.get("pseudo-labels", limit=500)["items"]
    assert len(suggested) == job["result"]["pseudo_labels"] > 0
    assert {row["image_id"] for row in suggested} <= set(shift.unlabeled)
    assert all(row["confidence"] >= row["threshold"] >= 0.5 for row in suggested)
    check_the_heat_maps(factory, suggested, settings)


def check_the_heat_maps(factory, suggested, settings):
    """Every suggestion of something present has one, and no other photo has any."""
    present = [row for row in suggested if row["value"] == "present"]
    assert present
    for row in present:
        address = f"{factory.path}/images/{row['image_id']}/heat-maps/{row['label']}"
        assert factory.client.get(address).content.startswith(b"\x89PNG")
    photos = {row["image_id"] for row in present}
    assert {key.split("/")[3] for key in make_store(settings).keys("heat-maps")} == photos


@pytest.mark.timeout(900)
def test_from_photos_to_pseudo_labels_through_a_kill(
    client, session, settings, start_worker, quick_leases
):
    trainer = start_worker("train")
    shift = Shift.begin(client, session, settings)
    answer = shift.factory.post(
        "trainings", {"resolution": 64, "epochs": 120, "mode": "frozen", "seed": 1}
    )
    assert answer.status_code == 202
    job_id = answer.json()["id"]
    assert answer.headers["location"] == f"/api/v1/jobs/{job_id}"
    kill_in_the_middle(shift.factory, job_id, trainer)
    start_worker("train,infer")
    ring_until_taken_over(session, shift.factory, job_id)
    stages = stages_until_the_end(shift.factory, job_id)
    assert JobStage.LEARN in stages
    assert JobStage.MEASURE_CONFIDENCE not in stages, "it began again"
    job = shift.factory.job(job_id)
    model = check_the_model(shift, job)
    prediction = shift.factory.await_job(job["result"]["prediction_job_id"])
    check_the_predictions(shift, model, prediction, settings)


# --- what cannot be learned, and what can all the same ---------------------------------------


@pytest.fixture
def floor(client, session, settings):
    """A function: a project with these labels whose photos, shown as given, are labelled."""

    def open_floor(*labels, shown):
        factory = Factory.open(client, "odd", *labels)
        factory.annotate(factory.upload(shown))
        factory.ingest_here(session, settings)
        return factory

    return open_floor


def trained_here(factory, **wanted):
    """The job of a training that this process does."""
    answer = factory.post("trainings", QUICK | wanted)
    assert answer.status_code == 202, answer.text
    train(answer.json()["id"])
    return factory.job(answer.json()["id"])


def test_without_a_label_or_a_labelled_photo_it_does_not_start(client, session, settings):
    factory = Factory.open(client, "bare")
    answer = factory.post("trainings")
    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        "The project has no label to learn. Add a label, then train again."
    )
    factory.post("labels", {"key": "bright", "names": {"en": "bright"}})
    factory.upload([GOOD])
    factory.ingest_here(session, settings)
    assert factory.post("trainings").json()["detail"] == (
        "No training photo has a label yet. Annotate at least one photo, then train again."
    )


def test_labels_that_went_away_meanwhile_end_the_job_in_a_sentence(floor):
    factory = floor("bright", shown=[BRIGHT, GOOD])
    answer = factory.post("trainings", QUICK)
    (image_id, other) = factory.truth
    for one in (image_id, other):
        (annotation,) = factory.get(f"images/{one}/annotations")["items"]
        factory.post(f"annotations/{annotation['id']}/undo")
    train(answer.json()["id"])
    job = factory.job(answer.json()["id"])
    assert (job["state"], job["attempts"]) == ("failed", 1)
    assert job["error"]["code"] == "not-enough-labels"
    assert "Annotate at least one photo" in job["error"]["detail"]


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (("bright",), [BRIGHT, GOOD, GOOD]),
        (("bright", "unused"), [BRIGHT, GOOD, BRIGHT, GOOD]),
        (("bright",), [BRIGHT, BRIGHT]),
    ],
    ids=["one label", "a label nobody used", "only positives"],
)
def test_odd_label_sets_give_a_model(floor, labels, shown):
    factory = floor(*labels, shown=shown)
    job = trained_here(factory)
    assert job["state"] == "succeeded", job
    (model,) = factory.get("models")["items"]
    assert model["labels"] == list(labels)
    assert model["state"] == "live"


@pytest.mark.slow
def test_two_processes_tune_one_model(floor, settings, session):
    settings.train_processes = 2
    factory = floor("bright", "dark", shown=[BRIGHT, GOOD, DARK, GOOD])
    job = trained_here(factory, mode="tune")
    assert job["state"] == "succeeded", job
    version = session.get(ModelVersion, UUID(job["result"]["model_version_id"]))
    assert version.card["config"]["processes"] == 2
    assert predicted_here(factory)["state"] == "succeeded"


@pytest.mark.skipif(torch.cuda.is_available(), reason="trainings on a GPU take what they need")
@pytest.mark.parametrize(
    ("wanted", "budget"),
    [({}, 2), ({"time_budget_seconds": 1}, 1), ({"epochs": 1}, None)],
    ids=["the setting", "what was asked for", "epochs take what they take"],
)
def test_without_a_gpu_a_training_is_planned_for_a_while(floor, settings, session, wanted, budget):
    settings.train_cpu_seconds = 2
    factory = floor("bright", shown=[BRIGHT, GOOD])
    job = trained_here(factory, **{"time_budget_seconds": None, "epochs": None, **wanted})
    version = session.get(ModelVersion, UUID(job["result"]["model_version_id"]))
    assert version.card["config"]["time_budget_seconds"] == budget


def test_missing_weights_are_named(floor, tmp_path):
    factory = floor("bright", shown=[BRIGHT, GOOD])
    name = f"ViT-B-16@{tmp_path}/gone.safetensors"
    job = trained_here(factory, backbone=name)
    assert (job["state"], job["attempts"]) == ("failed", 1)
    assert job["error"]["code"] == "backbone-unusable"
    assert "gone.safetensors" in job["error"]["detail"]
    unknown = trained_here(factory, backbone="ViT-Z-99")
    assert "ViT-Z-99" in unknown["error"]["detail"]
    assert factory.get("models")["items"] == []


def test_a_label_that_is_renamed_between_two_attempts_stays_guarded(floor):
    factory = floor("bright", "dark", shown=[BRIGHT, GOOD, DARK, GOOD])
    job_id = factory.post("trainings", QUICK).json()["id"]
    guarded, frozen = set(), set()

    def second_attempt(run):
        payload = TrainPayload.model_validate(run.payload)
        frozen_snapshot(run, payload)
        for before, after in (("bright", "too_light"), ("dark", "bright")):
            url = f"{factory.path}/labels/{before}"
            factory.client.patch(url, json={"key": after}, headers={"if-match": "*"})
        guarded.update(read_settings(run, payload).guarded)
        frozen.update(str(label.id) for label in frozen_snapshot(run, payload).labels)

    run_job(job_id, second_attempt)
    assert guarded == frozen
    assert len(guarded) == 2


def predicted_here(factory):
    job_id = factory.post("predictions").json()["id"]
    predict(job_id)
    if factory.job(job_id)["state"] == "running":
        assert factory.job(job_id)["stage"] == JobStage.PREDICT
        run_chunk(job_id, 0)
    return factory.job(job_id)


def test_a_second_training_is_compared_and_manual_projects_get_no_suggestions(floor, settings):
    factory = floor("bright", "dark", shown=[BRIGHT, GOOD, DARK, GOOD])
    trained_here(factory)
    second = trained_here(factory, seed=2)
    assert second["result"]["number"] == 2
    (newest, first) = factory.get("models")["items"]
    assert newest["gate"]["against"] == 1
    assert newest["gate"]["labels"]["bright"]["verdict"] == "too_few_positives"
    assert (newest["state"], first["state"]) == ("live", "retired")
    project = factory.client.get(factory.path)
    changed = factory.client.patch(
        factory.path, json={"stage": "manual"}, headers={"if-match": project.headers["etag"]}
    )
    assert changed.status_code == 200, changed.text
    job = predicted_here(factory)
    assert job["result"] | {"model_version_id": None} == {
        "model_version_id": None,
        "images": 4,
        "pseudo_labels": 0,
    }
    assert len(factory.get(f"models/{newest['id']}/predictions")["items"]) == 4


def test_a_model_whose_files_are_gone_says_so(floor, settings):
    factory = floor("bright", shown=[BRIGHT, GOOD])
    trained_here(factory)
    shutil.rmtree(settings.blob_dir / "jobs")
    job = predicted_here(factory)
    assert job["state"] == "failed"
    assert "Version 1 cannot be loaded" in job["error"]["detail"]
    later = trained_here(factory, seed=5)
    assert later["result"]["state"] == "candidate"
    assert "cannot be loaded" in later["result"]["gate"]


def test_a_model_of_an_earlier_build_that_cannot_be_read_says_so(floor, settings):
    factory = floor("bright", shown=[BRIGHT, GOOD])
    trained_here(factory)
    age_the_only_model(settings)
    job = predicted_here(factory)
    assert job["state"] == "failed"
    assert "Version 1 cannot be loaded: an earlier version" in job["error"]["detail"]
    later = trained_here(factory, seed=5)
    assert "cannot be loaded" in later["result"]["gate"]

"""New labels on top of the live version: through the API and, killed in the middle, by workers."""

import os
import signal
import time

import pytest

from app.core.queue import Queue
from app.jobs import service as jobs
from app.jobs.stages import JobStage
from tests.integration.worker.parts import QUICK, Factory, age_the_only_model
from worker.tasks.predict import run as predict
from worker.tasks.predict import run_chunk
from worker.tasks.train import run as train

GOOD, BRIGHT, DARK = (), ("bright",), ("dark",)
NEW = {"scope": "new_labels", "predict": False}
PATIENCE_S = 300


@pytest.fixture
def factory(client, session, settings) -> Factory:
    """A project whose live version knows `bright`; half of its photos are labelled."""
    factory = Factory.open(client, "grown", "bright")
    shown = [GOOD, BRIGHT, GOOD, BRIGHT]
    labeled = factory.upload(shown * 3)
    factory.upload([DARK, GOOD] * 3)
    factory.upload(shown, split="evaluation")
    factory.ingest_here(session, settings)
    factory.annotate(labeled)
    here(factory, QUICK)
    return factory


def here(factory, body):
    """The job of a training that this process does."""
    answer = factory.post("trainings", body)
    assert answer.status_code == 202, answer.text
    train(answer.json()["id"])
    job = factory.job(answer.json()["id"])
    assert job["state"] == "succeeded", job
    return job


def add_dark(factory, *, annotated: int):
    """A second label, and how many photos people then looked at for it."""
    assert factory.post("labels", {"key": "dark", "names": {"en": "dark"}}).status_code == 201
    of_dark = [image_id for image_id, shown in factory.truth.items() if "dark" in shown]
    others = [image_id for image_id in factory.truth if image_id not in of_dark]
    for image_id in of_dark[:annotated] + others[:annotated]:
        value = "present" if image_id in of_dark else "absent"
        factory.post(f"images/{image_id}/annotations", {"values": {"dark": value}})


def probabilities(factory, number):
    """What version `number` predicts, by image and label."""
    (model,) = [one for one in factory.get("models")["items"] if one["number"] == number]
    job_id = factory.post("predictions", {"model_version_id": model["id"]}).json()["id"]
    predict(job_id)
    run_chunk(job_id, 0)
    rows = factory.get(f"models/{model['id']}/predictions", limit=500)["items"]
    return {row["image_id"]: row["probabilities"] for row in rows}


@pytest.mark.timeout(900)
def test_a_new_label_joins_and_the_others_keep_their_scores(factory):
    before = probabilities(factory, 1)
    add_dark(factory, annotated=3)
    job = here(factory, NEW)
    assert (job["result"]["number"], job["result"]["state"]) == (2, "live")
    (grown, first) = factory.get("models")["items"]
    assert (first["state"], grown["labels"]) == ("retired", ["bright", "dark"])
    after = probabilities(factory, 2)
    assert {image: found["bright"] for image, found in after.items()} == {
        image: found["bright"] for image, found in before.items()
    }
    assert len({found["dark"] for found in after.values()}) > 1
    card = factory.get(f"models/{grown['id']}")["card"]
    assert [(one["labels"], one["origin"]) for one in card["grown"]] == [(["dark"], "version 1")]
    assert factory.get(f"models/{grown['id']}")["snapshot_counts"]["labels"]["dark"]["train"] == {
        "present": 3,
        "absent": 3,
    }
    again = here(factory, QUICK)
    assert again["result"]["number"] == 3
    assert factory.get("models")["items"][0]["labels"] == ["bright", "dark"]


def test_a_label_that_nobody_annotated_suggests_nothing(factory):
    add_dark(factory, annotated=0)
    here(factory, NEW)
    probabilities(factory, 2)
    suggested = factory.get("pseudo-labels", limit=500)["items"]
    assert "dark" not in {row["label"] for row in suggested}


def test_renamed_and_archived_labels_keep_their_columns(factory):
    add_dark(factory, annotated=3)
    here(factory, QUICK)
    any_tag = {"if-match": "*"}
    for before, after in (("bright", "too_light"), ("dark", "bright")):
        url = f"{factory.path}/labels/{before}"
        assert factory.client.patch(url, json={"key": after}, headers=any_tag).status_code == 200
    assert factory.post("labels/too_light/archive", **any_tag).status_code == 200
    factory.post("labels", {"key": "dark", "names": {"en": "dark"}})
    before = probabilities(factory, 2)
    here(factory, NEW)
    assert factory.get("models")["items"][0]["labels"] == ["too_light", "bright", "dark"]
    after = probabilities(factory, 3)
    for image, found in before.items():
        assert found.items() <= after[image].items()


def test_labels_archived_meanwhile_end_the_job_in_a_sentence(factory):
    add_dark(factory, annotated=1)
    job_id = factory.post("trainings", NEW).json()["id"]
    factory.post("labels/dark/archive", **{"if-match": "*"})
    train(job_id)
    job = factory.job(job_id)
    assert (job["state"], job["attempts"]) == ("failed", 1)
    assert job["error"]["code"] == "no-new-label"


def test_a_version_of_an_earlier_build_cannot_be_grown_and_says_so(factory, settings):
    add_dark(factory, annotated=1)
    age_the_only_model(settings)
    job_id = factory.post("trainings", NEW).json()["id"]
    train(job_id)
    job = factory.job(job_id)
    assert (job["state"], job["error"]["code"]) == ("failed", "conflict")
    assert "Version 1 cannot be loaded: an earlier version" in job["error"]["detail"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_growth_goes_on(factory, session, start_worker, monkeypatch):
    monkeypatch.setenv("KIZU_JOB_LEASE_SECONDS", "6")
    add_dark(factory, annotated=3)
    worker = start_worker("train")
    job_id = factory.post("trainings", NEW | {"epochs": 1000}).json()["id"]
    deadline = time.monotonic() + PATIENCE_S
    while factory.job(job_id)["stage"] != JobStage.LEARN:
        assert time.monotonic() < deadline, factory.job(job_id)
        time.sleep(0.02)
    os.kill(worker, signal.SIGKILL)
    assert factory.job(job_id)["state"] == "running"
    start_worker("train")
    while factory.job(job_id)["attempts"] < 2:
        assert time.monotonic() < deadline, factory.job(job_id)
        jobs.ring_waiting(session, {Queue.TRAIN})
        session.commit()
        time.sleep(0.1)
    job = factory.await_job(job_id, PATIENCE_S)
    assert (job["state"], job["attempts"]) == ("succeeded", 2), job
    assert factory.get("models")["items"][0]["labels"] == ["bright", "dark"]

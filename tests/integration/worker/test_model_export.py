"""Model files for a computer on the line: ordered, made, measured and fetched over the API."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.integration.worker.parts import QUICK, Factory, age_the_only_model, part
from worker.learning.onnx_model import OnnxModel
from worker.tasks.export_model import run as export_model
from worker.tasks.predict import run as predict
from worker.tasks.predict import run_chunk
from worker.tasks.train import run as train

GOOD, BRIGHT, DARK = (), ("bright",), ("dark",)
BFLOAT16 = 0.05  # files compute in full precision, the service where it can in half of it
TWO_SWAPPED = 0.15  # of mAP, at most, where that swaps two photos of eight


@pytest.fixture
def factory(client, session, settings) -> Factory:
    """A project with one model version, and photos to measure it on."""
    factory = Factory.open(client, "line", "bright", "dark")
    shown = [GOOD, BRIGHT, DARK, GOOD]
    labeled = factory.upload(shown * 3)
    exam = factory.upload(shown * 2, split="evaluation")
    factory.ingest_here(session, settings)
    factory.annotate(labeled + exam)
    train(factory.post("trainings", QUICK).json()["id"])
    return factory


def exported(factory, **wanted):
    """The job that made the files of version 1."""
    (model,) = factory.get("models")["items"]
    answer = factory.post(f"models/{model['id']}/exports", wanted)
    assert answer.status_code == 202, answer.text
    assert answer.json()["kind"] == "export_model"
    export_model(answer.json()["id"])
    return factory.job(answer.json()["id"])


def figures(job):
    return {figures["form"]: figures for figures in job["result"]["forms"]}


def fetched(factory, job, folder):
    """The names in the zip, which is unpacked in `folder`."""
    answer = factory.client.get(f"{factory.path}/exports/{job['id']}/file")
    assert answer.status_code == 200
    assert job["result"]["file_name"] in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(folder)
        return sorted(archive.namelist())


def predicted(factory):
    """What the service says of each photo, (N, K), in the order of upload."""
    (model,) = factory.get("models")["items"]
    job_id = factory.post("predictions").json()["id"]
    predict(job_id)
    run_chunk(job_id, 0)
    rows = factory.get(f"models/{model['id']}/predictions", limit=500)["items"]
    said = {row["image_id"]: row["probabilities"] for row in rows}
    return np.array([[said[one]["bright"], said[one]["dark"]] for one in factory.truth])


def photos(factory):
    files = [part(number, shown) for number, shown in enumerate(factory.truth.values())]
    return [np.asarray(Pillow.open(io.BytesIO(file))) for file in files]


def test_the_files_say_what_the_service_says(factory, tmp_path):
    job = exported(factory, eight_bits=True)
    assert job["state"] == "succeeded", job
    result = job["result"]
    assert result["photos"] == 8
    forms = figures(job)
    assert list(forms) == ["version", "model.onnx", "int8.onnx"]
    assert forms["model.onnx"]["largest_difference"] < BFLOAT16
    assert forms["model.onnx"]["photos_per_second"] > 0
    assert 0 < forms["int8.onnx"]["map"] <= 1
    names = ["README.md", "card.json", "int8.onnx", "model.onnx", "report.json"]
    assert fetched(factory, job, tmp_path) == names
    assert json.loads((tmp_path / "report.json").read_text())["forms"] == result["forms"]
    model = OnnxModel.load(tmp_path, threads=1)
    assert model.labels == ("bright", "dark")
    assert model.predict(photos(factory)) == pytest.approx(predicted(factory), abs=BFLOAT16)


@pytest.mark.slow
def test_a_student_leaves_in_place_of_the_version(factory, tmp_path):
    job = exported(factory, student_resolution=32)
    assert job["state"] == "succeeded", job
    forms = figures(job)
    assert list(forms) == ["version", "student", "model.onnx"]
    assert forms["model.onnx"]["largest_difference"] < BFLOAT16
    assert forms["student"]["map"] == pytest.approx(forms["model.onnx"]["map"], abs=TWO_SWAPPED)
    fetched(factory, job, tmp_path)
    assert json.loads((tmp_path / "card.json").read_text())["resolution"] == 32


def test_a_version_of_an_earlier_build_says_that_it_cannot_leave(factory, settings):
    age_the_only_model(settings)
    job = exported(factory)
    assert (job["state"], job["error"]["code"]) == ("failed", "conflict")
    assert "Version 1 cannot be loaded: an earlier version" in job["error"]["detail"]


def test_photos_that_were_deleted_since_are_done_without(factory):
    first = next(iter(factory.truth))
    address = f"{factory.path}/images/{first}"
    tag = factory.client.get(address).headers["etag"]
    assert factory.client.delete(address, headers={"if-match": tag}).status_code == 204
    assert exported(factory)["state"] == "succeeded"


def test_a_version_whose_files_are_gone_says_so(factory, settings):
    for file in settings.blob_dir.glob("jobs/*/*/model.safetensors"):
        file.unlink()
    job = exported(factory)
    assert (job["state"], job["attempts"], job["error"]["code"]) == ("failed", 1, "conflict")
    assert "Version 1 cannot be loaded: the model's files are gone" in job["error"]["detail"]


@pytest.mark.parametrize("wanted", [{"student_resolution": 8}, {"eight_bits": "perhaps"}, {"x": 1}])
def test_what_cannot_be_made_is_refused(factory, wanted):
    (model,) = factory.get("models")["items"]
    answer = factory.post(f"models/{model['id']}/exports", wanted)
    assert answer.status_code == 422

"""Imports and exports as other programs order them: over HTTP, done by a real worker."""

import io
import os
import signal
import time
import zipfile

import pytest
from sqlalchemy import func, select

from app.annotations.models import Annotation
from app.exchange.formats import csv_long
from app.images.models import Image
from tests.integration.exchange.conftest import a_pack, add_photos, table, wait_for, zipped
from tests.integration.test_cli import kizu
from tests.photos import photo

# So many that the import still has most of its work ahead when it is killed.
KILLED_PHOTOS = 1000


@pytest.fixture
def send(client, project):
    """A function that uploads a file to be imported."""

    def send(content: bytes, name: str = "pack.zip", slug: str = project.slug, **fields: str):
        return client.post(
            f"/api/v1/projects/{slug}/imports", files={"file": (name, content)}, data=fields
        )

    return send


class TestWithWorker:
    @pytest.fixture(autouse=True)
    def worker(self, start_worker):
        start_worker("cpu")

    def test_a_pack_goes_in_and_comes_out(self, client, project, send, truth_of):
        accepted = send(zipped(a_pack()), format="pack")
        assert accepted.status_code == 202
        assert accepted.headers["location"] == f"/api/v1/jobs/{accepted.json()['id']}"
        job = wait_for(client, accepted.json()["id"])
        assert job["state"] == "succeeded", job["error"]
        assert (job["result"]["created"], job["result"]["annotations"]) == (3, 3)
        assert truth_of(project)["both.png"] == {"scratch": "present", "dent": "present"}

        wanted = {"format": "csv_long", "include_images": True}
        ordered = client.post(f"/api/v1/projects/{project.slug}/exports", json=wanted)
        assert ordered.status_code == 202
        wait_for(client, ordered.json()["id"])
        address = f"/api/v1/projects/{project.slug}/exports/{ordered.json()['id']}/file"
        answer = client.get(address)
        name = f'attachment; filename="{project.slug}-csv-long.zip"'
        assert answer.headers["content-disposition"] == name
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert len(archive.namelist()) == 4
            rows = list(csv_long.read(lambda: archive.open("labels.csv")).rows)
        assert [record.file_name for record in rows] == ["both.png", "good.png", "vault.png"]

    def test_a_file_that_is_none_fails_in_a_sentence(self, client, send):
        job = wait_for(client, send(zipped({"../a.png": b"x"})).json()["id"])
        assert job["state"] == "failed"
        assert "leads elsewhere" in job["error"]["detail"]

    def test_the_upload_goes_when_its_job_has_ended(self, client, send, store, project):
        job_id = send(zipped(a_pack())).json()["id"]
        wait_for(client, job_id)
        assert list(store.keys(f"jobs/{job_id}")) == []


@pytest.mark.timeout(600)
def test_an_import_killed_with_kill_9_goes_on_and_doubles_nothing(
    client, project, send, start_worker, monkeypatch, session
):
    monkeypatch.setenv("KIZU_JOB_LEASE_SECONDS", "6")
    monkeypatch.setenv("KIZU_SWEEP_SECONDS", "1")
    rows = [
        ("file", "split", "labels"),
        *((f"images/{n}.png", "train", "dent") for n in range(KILLED_PHOTOS)),
    ]
    photos = {row[0]: photo(seed) for seed, row in enumerate(rows[1:])}
    pid = start_worker("cpu")
    job_id = send(zipped({"labels.csv": table(*rows), **photos})).json()["id"]

    def count(model) -> int:
        session.rollback()
        of_project = model.project_id == project.id
        return session.scalar(select(func.count()).select_from(model).where(of_project))

    deadline = time.monotonic() + 90
    while count(Image) < 50:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    assert count(Image) < KILLED_PHOTOS
    start_worker("cpu")
    start_worker("beat")
    job = wait_for(client, job_id, seconds=300)
    assert job["state"] == "succeeded", job["error"]
    assert job["result"]["created"] + job["result"]["already_there"] == KILLED_PHOTOS
    assert (count(Image), count(Annotation)) == (KILLED_PHOTOS, KILLED_PHOTOS)


class TestRefusals:
    def test_options_that_do_not_exist(self, send):
        for fields in ({"format": "xml"}, {"create_labels": "perhaps"}, {"strange": "1"}):
            assert send(b"x", **fields).status_code == 422

    def test_no_file_and_no_form(self, client, project):
        address = f"/api/v1/projects/{project.slug}/imports"
        assert client.post(address, data={"format": "pack"}).status_code == 400
        files = {"other": ("a", b"x")}
        assert client.post(address, files=files).status_code == 422

    def test_a_project_that_does_not_exist(self, client, send):
        assert send(b"x", slug="nowhere").status_code == 404
        body = {"format": "coco"}
        assert client.post("/api/v1/projects/nowhere/exports", json=body).status_code == 404

    def test_too_many_bytes(self, send, settings):
        settings.upload_max_bytes = 2**20
        assert send(bytes(2**21)).status_code == 413

    def test_an_export_that_is_not_done_and_one_of_another_project(self, client, project, session):
        from tests.factories import make_project

        other = make_project(session)
        session.commit()
        slug = project.slug
        job = client.post(f"/api/v1/projects/{slug}/exports", json={"format": "coco"}).json()
        address = f"exports/{job['id']}/file"
        assert client.get(f"/api/v1/projects/{slug}/{address}").status_code == 409
        assert client.get(f"/api/v1/projects/{other.slug}/{address}").status_code == 404

    def test_the_same_order_twice_is_one_job(self, client, project):
        def order():
            headers = {"Idempotency-Key": "one"}
            address = f"/api/v1/projects/{project.slug}/exports"
            return client.post(address, json={"format": "pack"}, headers=headers).json()["id"]

        assert order() == order()

    def test_strangers_learn_nothing(self, anonymous, project):
        address = f"/api/v1/projects/{project.slug}"
        anonymous.headers.pop("Authorization", None)
        assert anonymous.post(f"{address}/exports", json={"format": "pack"}).status_code == 401
        files = {"file": ("a", b"x")}
        assert anonymous.post(f"{address}/imports", files=files).status_code == 401


class TestTerminal:
    def test_a_folder_goes_in_and_a_zip_comes_out(self, project, tmp_path, truth_of):
        zipfile.ZipFile(io.BytesIO(zipped(a_pack()))).extractall(tmp_path / "pack")
        result = kizu("import", str(tmp_path / "pack"), "--project", project.slug)
        assert "Photos: 3 new, 0 already there." in result.stdout
        assert truth_of(project)["good.png"] == {"scratch": "absent", "dent": "absent"}
        out = tmp_path / "out.zip"
        kizu("export", project.slug, "--format", "pack", "--images", "--out", str(out))
        again = kizu("import", str(out), "--project", project.slug)
        assert "0 new, 3 already there" in again.stdout

    def test_what_was_not_taken_in_is_said_with_code_1(self, project, session, tmp_path):
        add_photos(session, project, "a.png")
        rows = [("file_name", "label", "value"), ("a.png", "hole", "1"), ("b.png", "dent", "1")]
        (tmp_path / "labels.csv").write_text(table(*rows))
        arguments = ("import", str(tmp_path / "labels.csv"), "--project", project.slug)
        result = kizu(*arguments, check=False)
        assert result.returncode == 1
        assert "Unknown label hole" in result.stdout
        assert "No such photo: b.png" in result.stdout

    def test_what_cannot_be_read_is_one_line_with_code_2(self, project, tmp_path):
        result = kizu("import", str(tmp_path / "no"), "--project", project.slug, check=False)
        assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)

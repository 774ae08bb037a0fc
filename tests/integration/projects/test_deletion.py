"""Deletion: hidden at once, purged later, what other projects share stays, a tombstone remains."""

import io
import os
import signal
import time
from datetime import timedelta

import pytest
from PIL import Image as Pillow
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from app.annotations import service as annotations
from app.annotations.models import Annotation, AnnotationLabel, ImageLabel, LabelValue
from app.catalog import purging, removal
from app.core.audit import AuditEvent
from app.core.clock import now
from app.core.db import Base
from app.core.storage import make_store
from app.images.blobs import Rendition, blob_key
from app.images.models import Image
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.projects import service as projects
from app.projects.models import Label, Project
from app.pseudolabels import acceptance, heat_maps
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.models import AcceptanceContract, Prediction, PseudoLabel
from app.pseudolabels.rows import PredictionRow, Proposal
from app.reviews import service as reviews
from app.reviews.models import Decision, ReviewDraft, ReviewLease, Verdict
from app.reviews.service import Holder, Submission, Wish
from app.training.models import DatasetSnapshot, ModelVersion
from tests.factories import make_images, make_user, make_version
from worker.tasks import purge

URL = "/api/v1/projects"
OF_PROJECTS = (Image, Label, Annotation, ImageLabel, PseudoLabel, Prediction, Decision, ReviewLease)
OF_MODELS = (ModelVersion, DatasetSnapshot, AcceptanceContract)


@pytest.fixture
def store(settings):
    return make_store(settings)


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Pillow.new("L", (8, 8), shade).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def upload(client, store, sessions):
    """A function that uploads photos and stands in for nobody: renditions are put as bytes."""

    def send(slug: str, *shades: int) -> list[str]:
        files = [("files", (f"{shade}.png", png(shade), "image/png")) for shade in shades]
        answer = client.post(f"{URL}/{slug}/images", files=files)
        assert answer.status_code in {200, 201}, answer.text
        contents = [item["image"]["sha256"] for item in answer.json()["items"]]
        for sha256 in contents:
            for rendition in (Rendition.THUMBNAIL, Rendition.PREVIEW, Rendition.DEEP):
                store.put(blob_key(sha256, rendition), b"jpeg")
        return contents

    return send


def stored(store, sha256: str) -> list[Rendition]:
    return [rendition for rendition in Rendition if store.size(blob_key(sha256, rendition))]


def remaining(session, project_id) -> dict[str, int]:
    """Rows that name the project, by table; the tombstone and the trail are meant to stay."""
    counts = {}
    for table in Base.metadata.tables.values():
        if "project_id" in table.columns and table.name != "audit_event":
            wanted = select(func.count()).where(table.c.project_id == project_id)
            counts[table.name] = session.scalar(wanted)
    return {name: count for name, count in counts.items() if count}


def work_on(session, slug: str, store) -> Project:
    """Statements, suggestions, reviews, models and their files in a project that has photos."""
    project = projects.get_project(session, slug)
    session.execute(update(Project).where(Project.id == project.id).values(control_rate=0.0))
    session.execute(update(Image).values(state="ready", split="train", width=8, height=8))
    label = projects.list_labels(session, project.id)[0]
    person = make_user(session)
    photos = list(session.scalars(select(Image).where(Image.project_id == project.id)))
    version = make_version(session, project, [label.id])
    version.weights_prefix = f"jobs/{version.job_id}/1/model"
    store.put(f"{version.weights_prefix}/weights.safetensors", b"weights")
    snapshot = session.get_one(DatasetSnapshot, version.snapshot_id)
    snapshot.blob_key = f"jobs/{version.job_id}/1/snapshot.json"
    store.put(snapshot.blob_key, b"{}")
    seen = [PredictionRow(photo.id, [0.9], [1.0], 0.5, 0.25) for photo in photos]
    pseudolabels.store_predictions(session, version=version, rows=seen)
    for photo in photos:
        heat_maps.write(store, photo.id, version.id, {label.id: b"png"})
    asked = [Proposal(p.id, label.id, LabelValue.PRESENT, 0.9, 0.8) for p in photos]
    pseudolabels.propose(session, version=version, rows=asked)
    _review(session, project, person)
    statement = {"project_id": project.id, "image_id": photos[-1].id, "author_id": person.id}
    said = annotations.annotate(
        session, **statement, values={label.id: LabelValue.ABSENT}, is_complete=True
    )
    annotations.undo(session, said.id, actor_id=person.id)
    acceptance.start(session, project, label, 0.05, actor_id=person.id)
    return project


def _review(session, project, person) -> None:
    held = reviews.lease_next(
        session, project=project, reviewer_id=person.id, wish=Wish(count=2), lease_seconds=300
    )
    first, second = held[0], held[-1]
    verdicts = {row.id: Verdict.ACCEPT for row in first.suggestions}
    reviews.submit(
        session,
        project=project,
        holder=Holder(project.id, first.image.id, person.id, first.lease.token),
        submission=Submission(verdicts=verdicts, additions={}, is_complete=True),
    )
    draft = ReviewDraft(image_id=second.image.id, reviewer_id=person.id, draft={"values": {}})
    session.add(draft)
    session.flush()


def delete_project(client, slug: str) -> str:
    answer = client.delete(f"{URL}/{slug}", params={"confirm": slug})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"].endswith(answer.json()["job_id"])
    return answer.json()["job_id"]


def state_of(sessions, job_id) -> str:
    with sessions() as session:
        return session.get_one(Job, job_id).state


def test_a_deletion_is_confirmed_by_the_slug(client, add_project):
    add_project("boards")
    for confirm in ({}, {"confirm": "board"}):
        assert client.delete(f"{URL}/boards", params=confirm).status_code == 422
    assert client.get(f"{URL}/boards").status_code == 200


def test_a_deleted_project_is_hidden_at_once_and_its_slug_is_free(client, add_project, sessions):
    add_project("boards", labels=("scratch",))
    delete_project(client, "boards")
    assert client.get(f"{URL}/boards").status_code == 404
    assert client.get(URL).json()["items"] == []
    add_project("boards")
    assert client.get(f"{URL}/boards/labels").json()["items"] == []


def test_a_deletion_stops_the_projects_jobs(client, add_project, sessions):
    project = add_project("boards")
    with sessions.begin() as session:
        waiting = jobs.create_job(
            session,
            kind=JobKind.EXPORT,
            project_id=project["id"],
            payload=removal.PurgePayload(),
            created_by=None,
        )
    delete_project(client, "boards")
    assert state_of(sessions, waiting.id) == JobState.CANCELLED


def test_a_purge_removes_everything_but_the_tombstone(client, add_project, upload, sessions, store):
    add_project("boards", labels=("scratch",))
    add_project("others", labels=("scratch",))
    shared, own = upload("boards", 1, 2)
    upload("others", 1)
    with sessions.begin() as session:
        project = work_on(session, "boards", store)
        for table in (*OF_PROJECTS, *OF_MODELS, AnnotationLabel, ReviewDraft):
            assert session.scalar(select(func.count()).select_from(table)), table
        files = list(store.keys("jobs"))
        assert len(files) == 2
    job_id = delete_project(client, "boards")
    purge.run(job_id)
    assert state_of(sessions, job_id) == JobState.SUCCEEDED
    with sessions() as session:
        assert remaining(session, project.id) == {"job": 1}
        assert session.get_one(Job, job_id).result == {"photos": 2, "files": 2}
        tombstone = session.get_one(Project, project.id)
        assert (tombstone.name, tombstone.description) == ("", "")
        assert tombstone.deleted_at
        trail = select(AuditEvent.action).where(AuditEvent.project_id == project.id)
        actions = session.scalars(trail.order_by(AuditEvent.id)).all()
        assert actions[0] == "project.created"
        assert actions[-2:] == ["project.deleted", "project.purged"]
        for table in (AnnotationLabel, ReviewDraft, Decision, Prediction):
            assert not session.scalar(select(func.count()).select_from(table)), table
    assert stored(store, own) == []
    assert stored(store, shared) == list(Rendition)
    assert list(store.keys("jobs")) == []
    assert list(store.keys("heat-maps")) == []
    images = client.get(f"{URL}/others/images").json()["items"]
    assert [image["sha256"] for image in images] == [shared]
    assert client.get(f"{URL}/others/images/{images[0]['id']}/original").content == png(1)


def test_content_goes_with_the_last_project_that_has_it(
    client, add_project, upload, sessions, store
):
    for slug in ("boards", "others"):
        add_project(slug)
        (content,) = upload(slug, 1)
    first, second = delete_project(client, "boards"), delete_project(client, "others")
    purge.run(first)
    assert stored(store, content) == list(Rendition)
    purge.run(second)
    assert stored(store, content) == []


def test_a_purge_goes_on_where_it_was_cut_short(
    client, add_project, upload, sessions, store, monkeypatch
):
    """The second batch's bytes are gone but its transaction is not: as after `kill -9`."""
    add_project("boards")
    upload("boards", *range(5))
    monkeypatch.setattr(purging, "BATCH", 2)
    job_id = delete_project(client, "boards")
    with sessions() as session:
        project_id = session.get_one(Job, job_id).project_id
        which = purging.of_project(project_id)
        assert purging.purge_photos(session, store, which).photos == 2
        session.commit()
        assert purging.purge_photos(session, store, which).photos == 2
        session.rollback()
    purge.run(job_id)
    assert state_of(sessions, job_id) == JobState.SUCCEEDED
    with sessions() as session:
        assert remaining(session, project_id) == {"job": 1}
    assert list(store.keys("content")) == []
    assert list(store.keys("renditions")) == []


def test_a_project_that_is_not_deleted_is_never_purged(client, add_project, upload, sessions):
    project = add_project("boards")
    upload("boards", 1)
    with sessions.begin() as session:
        payload = removal.PurgePayload(project_id=project["id"])
        job = jobs.create_job(
            session,
            kind=JobKind.PURGE,
            project_id=project["id"],
            payload=payload,
            created_by=None,
        )
    purge.run(str(job.id))
    assert state_of(sessions, job.id) == JobState.FAILED
    assert len(client.get(f"{URL}/boards/images").json()["items"]) == 1


def test_hidden_photos_go_after_the_grace_period(client, add_project, upload, sessions, store):
    add_project("boards")
    kept, young, old = upload("boards", 1, 2, 3)
    items = {
        item["sha256"]: item["id"] for item in client.get(f"{URL}/boards/images").json()["items"]
    }
    for content in (young, old):
        gone = client.delete(f"{URL}/boards/images/{items[content]}", headers={"if-match": "*"})
        assert gone.status_code == 204
    grace = timedelta(hours=24)
    with sessions.begin() as session:
        assert removal.purge_hidden(session, older_than=grace) is None
        long_ago = now() - timedelta(days=2)
        session.execute(update(Image).where(Image.sha256 == old).values(deleted_at=long_ago))
    with sessions.begin() as session:
        job = removal.purge_hidden(session, older_than=grace)
        assert job is not None
        assert removal.purge_hidden(session, older_than=grace) is None
    purge.run(str(job.id))
    assert state_of(sessions, job.id) == JobState.SUCCEEDED
    assert [bool(stored(store, content)) for content in (kept, young, old)] == [True, True, False]
    with sessions() as session:
        left = set(session.scalars(select(Image.sha256)))
        assert left == {kept, young}


def test_what_a_late_upload_left_behind_is_found(client, add_project, upload, sessions, store):
    """A request that began before the deletion may store a photo after the purge."""
    add_project("boards")
    job_id = delete_project(client, "boards")
    purge.run(job_id)
    with sessions.begin() as session:
        project = session.get_one(Project, session.get_one(Job, job_id).project_id)
        make_images(session, project, 1)
    with sessions.begin() as session:
        again = removal.purge_hidden(session, older_than=timedelta(0))
        assert again is not None
    purge.run(str(again.id))
    with sessions() as session:
        assert remaining(session, project.id) == {"job": 1}


@pytest.mark.parametrize("table", ["annotation", "annotation_label", "decision", "audit_event"])
def test_nobody_else_deletes_statements(client, add_project, upload, sessions, store, table):
    add_project("boards", labels=("scratch",))
    upload("boards", 1, 2)
    with sessions.begin() as session:
        work_on(session, "boards", store)
    with sessions() as session, pytest.raises(DBAPIError, match="append-only"):
        session.execute(text(f"DELETE FROM {table}"))
    with sessions() as session:
        purging.allow(session)
        with pytest.raises(DBAPIError, match="append-only"):
            session.execute(delete(AuditEvent))


@pytest.mark.slow
def test_a_killed_worker_leaves_a_purge_that_ends_once(
    client, add_project, upload, sessions, store, settings, start_worker, monkeypatch
):
    monkeypatch.setenv("KIZU_JOB_LEASE_SECONDS", "6")
    monkeypatch.setenv("KIZU_SWEEP_SECONDS", "1")
    project = add_project("boards")
    with sessions.begin() as session:
        row = session.get_one(Project, project["id"])
        make_images(session, row, 3000)
    first = start_worker("cpu")
    job_id = delete_project(client, "boards")

    def photos() -> int:
        with sessions() as session:
            return purging.count(session, purging.of_project(row.id))

    wait_for(lambda: photos() < 3000)
    os.killpg(first, signal.SIGKILL)
    assert photos() > 0
    start_worker("cpu")
    start_worker("beat")
    wait_for(lambda: state_of(sessions, job_id) == JobState.SUCCEEDED)
    with sessions() as session:
        assert remaining(session, row.id) == {"job": 1}
        purged = select(func.count()).where(AuditEvent.action == "project.purged")
        assert session.scalar(purged) == 1


def wait_for(happened, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)

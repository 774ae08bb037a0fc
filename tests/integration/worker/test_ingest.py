"""From an upload to a verdict, by a real worker and by the task itself."""

import io
import time
from datetime import timedelta
from uuid import UUID

import pytest
from PIL import Image as Pillow
from sqlalchemy import select, update

from app.core.clock import now
from app.core.db import make_sessions, transaction
from app.images import service as images
from app.images.blobs import Rendition, blob_key
from app.images.models import Image, ImageState
from app.projects import service as projects
from app.projects.models import Counter
from tests import photos
from tests.factories import make_images, make_project
from worker import process
from worker.process import this_process
from worker.tasks import sweep
from worker.tasks.ingest import MAX_ATTEMPTS, ingest_image


def picture(kind="PNG", size=(640, 480)) -> bytes:
    out = io.BytesIO()
    Pillow.effect_noise(size, 40).save(out, kind)
    return out.getvalue()


@pytest.fixture
def sessions(engine, settings):
    yield make_sessions(engine)
    process.disconnect()


@pytest.fixture
def receive(sessions):
    """A function that stores a file as an upload does, and returns the image's id."""

    def make(content: bytes | None, **columns: object) -> UUID:
        with transaction(sessions) as session:
            project = make_project(session)
            image = make_images(session, project, 1)[0]
            image.state = ImageState.RECEIVED
            for name, value in columns.items():
                setattr(image, name, value)
        if content is not None:
            this_process().store.put(blob_key(image.sha256), content)
        return image.id

    return make


@pytest.fixture
def read(sessions):
    def row(image_id: UUID) -> Image:
        with sessions() as session:
            return session.scalars(select(Image).where(Image.id == image_id)).one()

    return row


def test_a_good_photo_is_ready(receive, read, sessions):
    image_id = receive(picture())
    ingest_image(str(image_id))
    image = read(image_id)
    assert (image.state, image.width, image.height) == (ImageState.READY, 640, 480)
    assert image.perceptual_hash is not None
    store = this_process().store
    small = (Rendition.THUMBNAIL, Rendition.PREVIEW)
    assert all(store.size(blob_key(image.sha256, rendition)) for rendition in small)
    assert store.size(blob_key(image.sha256, Rendition.DEEP)) is None
    with sessions() as session:
        assert projects.counters(session, image.project_id)[Counter.READY] == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (picture("JPEG")[:9000], "corrupt"),
        (b"%PDF-1.7 not a picture", "unsupported"),
        (picture(size=(4000, 10)), "too_large"),
        (None, "corrupt"),
    ],
    ids=["truncated", "foreign", "huge", "gone"],
)
def test_a_bad_photo_is_rejected_with_the_reason(receive, read, monkeypatch, content, reason):
    monkeypatch.setenv("KIZU_IMAGE_MAX_PIXELS", "30000" if reason == "too_large" else "1000000")
    process.get_settings.cache_clear()
    image_id = receive(content)
    ingest_image(str(image_id))
    image = read(image_id)
    assert image.state == ImageState.REJECTED
    assert image.reason.startswith(f"{reason}: ")


@pytest.mark.parametrize(
    ("taken", "zone"), [("0001:01:01 00:00:00", None), ("9999:12:31 23:59:59", "-12:00")]
)
def test_a_camera_without_a_clock_costs_the_date_only(receive, read, taken, zone):
    image_id = receive(photos.dated(taken, zone))
    ingest_image(str(image_id))
    image = read(image_id)
    assert (image.state, image.captured_at) == (ImageState.READY, None)


def test_a_second_doorbell_changes_nothing(receive, read):
    image_id = receive(picture())
    ingest_image(str(image_id))
    ingest_image(str(image_id))
    assert read(image_id).ingest_attempts == 1


def test_a_deleted_photo_is_left_alone(receive, read):
    image_id = receive(picture(), deleted_at=now())
    ingest_image(str(image_id))
    assert read(image_id).state == ImageState.RECEIVED


def test_a_photo_that_kills_its_workers_is_given_up(receive, read, sessions):
    image_id = receive(picture())
    for _ in range(MAX_ATTEMPTS):  # what a killed process leaves behind
        with transaction(sessions) as session:
            images.begin_ingest(session, image_id)
    ingest_image(str(image_id))
    image = read(image_id)
    assert image.state == ImageState.REJECTED
    assert "5 attempts" in image.reason


def test_a_full_disk_is_not_the_photos_fault(receive, read, monkeypatch):
    image_id = receive(picture())
    for _ in range(MAX_ATTEMPTS + 2):
        process.disconnect()
        monkeypatch.setenv("KIZU_MIN_FREE_BYTES", str(2**60))
        process.get_settings.cache_clear()
        ingest_image(str(image_id))
        assert read(image_id).state == ImageState.RECEIVED
    process.disconnect()
    monkeypatch.setenv("KIZU_MIN_FREE_BYTES", "0")
    process.get_settings.cache_clear()
    ingest_image(str(image_id))
    assert read(image_id).state == ImageState.READY


def test_uploads_are_ingested_by_a_worker(client, start_worker, sessions):
    slug = "boards"
    assert client.post("/api/v1/projects", json={"slug": slug, "name": "Boards"}).is_success
    files = [("a.png", picture()), ("b.jpg", picture("JPEG")[:9000]), ("c.bmp", picture("BMP"))]
    start_worker("cpu")
    answer = client.post(
        f"/api/v1/projects/{slug}/images", files=[("files", file) for file in files]
    )
    assert answer.status_code == 201, answer.text
    deadline = time.monotonic() + 120
    while True:
        with sessions() as session:
            states = dict(session.execute(select(Image.file_name, Image.state)).all())
        if ImageState.RECEIVED not in states.values() or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert states == {"a.png": "ready", "b.jpg": "rejected", "c.bmp": "ready"}


def test_the_sweep_rings_for_photos_that_wait_too_long(receive, sessions, broker):
    receive(picture())
    late = receive(picture())
    with transaction(sessions) as session:
        long_ago = now() - timedelta(minutes=2)
        session.execute(update(Image).where(Image.id == late).values(created_at=long_ago))
    sweep.run()
    sweep.run()
    assert broker.llen("cpu") == 1, "a queue with messages is not rung again"
    assert str(late).encode() in broker.lindex("cpu", 0)

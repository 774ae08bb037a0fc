"""Embeddings by the shipped backbone: of photos that arrive, of those of before, and of words."""

import time
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import select, update

from app.core.db import make_sessions, transaction
from app.images import embeddings
from app.images import service as images
from app.images.blobs import Rendition, blob_key
from app.images.models import ImageEmbedding, TextEmbedding
from app.projects.models import Project
from tests import photos
from tests.factories import make_images, make_project
from worker import process
from worker.engine import embedding
from worker.engine.embedding import embed_photos, embed_texts
from worker.process import this_process
from worker.tasks import sweep

BACKBONE = "kizu-small"


@pytest.fixture
def sessions(engine, settings, monkeypatch):
    monkeypatch.setattr(embedding, "_missing", {})
    yield make_sessions(engine)
    process.disconnect()


@pytest.fixture
def arrive(sessions):
    """A function that adds ready photos with their thumbnails to a project; returns its id."""

    def add(count: int, *, pictures: bool = True, **settings: str) -> UUID:
        with transaction(sessions) as session:
            project = make_project(session, **settings)
            for number, image in enumerate(make_images(session, project, count)):
                embeddings.expect(session, image.id, project.id)
                if pictures:
                    thumbnail = photos.encoded(photos.surface(number), "JPEG")
                    key = blob_key(image.sha256, Rendition.THUMBNAIL)
                    this_process().store.put(key, thumbnail)
            return project.id

    return add


@pytest.fixture
def rows(sessions):
    def read(project_id: UUID) -> list[ImageEmbedding]:
        of_project = ImageEmbedding.project_id == project_id
        with sessions() as session:
            found = select(ImageEmbedding).where(of_project).order_by(ImageEmbedding.image_id)
            return list(session.scalars(found))

    return read


@pytest.fixture
def texts(sessions):
    def read() -> dict[str, TextEmbedding]:
        with sessions() as session:
            return {row.text: row for row in session.scalars(select(TextEmbedding))}

    return read


def ask(sessions, backbone, *wanted):
    with transaction(sessions) as session:
        return embeddings.answers(session, backbone, wanted)


def test_each_photo_gets_one_of_unit_length_once(arrive, rows):
    project_id = arrive(40)
    embed_photos(this_process(), project_id)
    first = rows(project_id)
    vectors = np.array([row.embedding for row in first])
    assert vectors.shape == (40, 128)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert len(np.unique(vectors.round(4), axis=0)) == 40
    assert {row.backbone for row in first} == {BACKBONE}
    embed_photos(this_process(), project_id)
    assert [row.embedding for row in rows(project_id)] == [row.embedding for row in first]


def test_a_photo_without_a_picture_holds_nobody_up(arrive, rows, sessions):
    project_id = arrive(2, pictures=False)
    embed_photos(this_process(), project_id)
    assert [(row.backbone, row.embedding) for row in rows(project_id)] == [(BACKBONE, None)] * 2
    with sessions() as session:
        assert embeddings.claim(session, project_id, BACKBONE, limit=9) == []


def test_two_workers_do_not_look_at_the_same_photos(arrive, sessions):
    project_id = arrive(3)
    with sessions() as one, sessions() as other:
        assert len(embeddings.claim(one, project_id, BACKBONE, limit=9)) == 3
        assert embeddings.claim(other, project_id, BACKBONE, limit=9) == []
        one.rollback()
        assert len(embeddings.claim(other, project_id, BACKBONE, limit=9)) == 3, "as after kill -9"


def test_another_backbone_or_other_weights_look_again(arrive, rows, sessions):
    project_id = arrive(2)
    embed_photos(this_process(), project_id)
    ask(sessions, BACKBONE, "a scratch")
    embed_texts(this_process(), BACKBONE)
    with transaction(sessions) as session:
        session.execute(update(ImageEmbedding).values(weights="of last year"))
        session.execute(update(TextEmbedding).values(weights="of last year"))
        embeddings.renew(session, BACKBONE, "of today")
        assert len(embeddings.claim(session, project_id, BACKBONE, limit=9)) == 2
    assert ask(sessions, BACKBONE, "a scratch") is None
    with transaction(sessions) as session:
        session.execute(update(ImageEmbedding).values(backbone="other"))
        assert len(embeddings.claim(session, project_id, BACKBONE, limit=9)) == 2


def test_words_are_read_once(texts, sessions):
    assert ask(sessions, BACKBONE, "a scratch", "a dent") is None
    embed_texts(this_process(), BACKBONE)
    answers = ask(sessions, BACKBONE, "a scratch", "a dent")
    assert np.linalg.norm(answers["a scratch"].embedding) == pytest.approx(1.0, abs=1e-5)
    assert answers["a scratch"] != answers["a dent"]
    first = texts()["a scratch"].created_at
    ask(sessions, BACKBONE, "a scratch")
    assert texts()["a scratch"].created_at == first


def test_missing_weights_are_told_to_those_who_wait_now_and_later(texts, sessions, arrive, rows):
    missing = "ViT-B-32@nowhere"
    for words in ("a scratch", "a dent"):
        assert ask(sessions, missing, words) is None
        embed_texts(this_process(), missing)
        assert texts()[words].problem
    project_id = arrive(1, backbone=missing)
    embed_photos(this_process(), project_id)
    assert [row.backbone for row in rows(project_id)] == [""]


def test_the_sweep_rings_for_what_waits(arrive, sessions, broker, rows):
    project_id = arrive(1)
    ask(sessions, BACKBONE, "a scratch")
    broker.flushdb()
    sweep.run()
    rung = b" ".join(broker.lrange("infer", 0, -1))
    assert str(project_id).encode() in rung
    assert embeddings.TEXTS_TASK.encode() in rung
    embed_photos(this_process(), project_id)
    embed_texts(this_process(), BACKBONE)
    broker.flushdb()
    sweep.run()
    assert broker.llen("infer") == 0


def test_a_deleted_photo_is_forgotten(arrive, rows, sessions):
    project_id = arrive(2)
    embed_photos(this_process(), project_id)
    with transaction(sessions) as session:
        image = images.get_image(session, project_id, rows(project_id)[0].image_id)
        images.hide(session, image, actor_id=None)
    assert len(rows(project_id)) == 1


def test_a_worker_answers_a_search_over_http(client, start_worker, arrive, sessions):
    project_id = arrive(3)
    with sessions() as session:
        slug = session.get_one(Project, project_id).slug
    path = f"/api/v1/projects/{slug}/images/search"
    assert client.get(path, params={"text": "a scratch"}).status_code == 202
    sweep.run()
    start_worker("infer")
    deadline = time.monotonic() + 120
    while True:
        answer = client.get(path, params={"text": "a scratch"}).json()
        if answer["state"] == "ready" and len(answer["items"]) == 3:
            break
        assert time.monotonic() < deadline, answer
        time.sleep(0.3)
    scores = [hit["score"] for hit in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3

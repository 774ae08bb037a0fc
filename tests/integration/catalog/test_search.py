"""Searching by words, by sentences and by another photo. What workers find is stored as they do."""

import pytest
import redis
from sqlalchemy import select, text

from app.catalog.filters import Order
from app.core.clock import now
from app.core.embedded import redis_url
from app.images import embeddings
from app.images.models import TextEmbedding
from app.projects import service as projects
from tests.factories import make_images, make_project

BACKBONE, WEIGHTS = "kizu-small", "w1"
# Two directions, and photos at angles between them.
ACROSS, UP = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
SEEN = {"across": [1.0, 0.0, 0.0], "between": [0.8, 0.6, 0.0], "up": [0.0, 1.0, 0.0]}


def see(session, image, embedding):
    embeddings.expect(session, image.id, image.project_id)
    embeddings.store(session, {image.id: embedding}, backbone=BACKBONE, weights=WEIGHTS)


def read(session, *texts, embedding):
    """What a worker does with sentences that wait."""
    assert set(texts) <= set(embeddings.texts_waiting(session, BACKBONE, limit=100))
    found = dict.fromkeys(texts, embedding)
    embeddings.store_texts(session, found, backbone=BACKBONE, weights=WEIGHTS)
    session.commit()


@pytest.fixture
def seen(shelf):
    for name, embedding in SEEN.items():
        see(shelf.session, shelf.add(name), embedding)
    shelf.add("unseen")
    shelf.session.commit()
    return shelf


def search(shelf, **query):
    return shelf.client.get(f"{shelf.path}/search", params=query)


def found(shelf, **query):
    answer = search(shelf, **query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "ready"
    names = {str(image.id): name for name, image in shelf.images.items()}
    return [(names[hit["image"]["id"]], hit["score"]) for hit in answer.json()["items"]]


def names(shelf, **query):
    return [name for name, _ in found(shelf, **query)]


def test_a_sentence_is_read_by_a_worker_once_and_then_finds_the_nearest_first(seen, broker_url):
    answer = search(seen, prompt=["rusty bolt"])
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    assert answer.json()["items"] == []
    assert search(seen, prompt=["rusty bolt"]).status_code == 202
    with redis.Redis.from_url(redis_url(broker_url)) as broker:
        (message,) = broker.lrange("infer", 0, -1)
    assert embeddings.TEXTS_TASK.encode() in message
    read(seen.session, "rusty bolt", embedding=UP)
    hits = found(seen, prompt=["rusty bolt"])
    assert [name for name, _ in hits] == ["up", "between", "across"]
    assert [score for _, score in hits] == pytest.approx([1.0, 0.6, 0.0], abs=1e-6)


def test_several_sentences_count_by_their_mean(seen):
    search(seen, prompt=["a", "b"])
    read(seen.session, "a", embedding=UP)
    read(seen.session, "b", embedding=ACROSS)
    hits = dict(found(seen, prompt=["a", "b"]))
    assert hits["between"] == pytest.approx((0.8 + 0.6) / 2**0.5, abs=1e-6)
    assert next(iter(hits)) == "between"


def test_a_photo_finds_those_like_it_and_not_itself(seen):
    ids = {name: str(image.id) for name, image in seen.images.items()}
    assert names(seen, similar_to=ids["across"]) == ["between", "up"]
    assert names(seen, similar_to=ids["across"], limit=1) == ["between"]
    assert search(seen, similar_to=ids["unseen"]).status_code == 202
    (elsewhere,) = make_images(seen.session, make_project(seen.session), 1)
    seen.session.commit()
    assert search(seen, similar_to=str(elsewhere.id)).status_code == 404


def test_filters_hold_and_what_is_gone_or_elsewhere_is_never_found(seen):
    session = seen.session
    seen.images["between"].lot = "A"
    seen.images["up"].deleted_at = now()
    other = make_project(session)
    see(session, make_images(session, other, 1)[0], ACROSS)
    session.commit()
    search(seen, prompt=["x"])
    read(session, "x", embedding=ACROSS)
    assert names(seen, prompt=["x"]) == ["across", "between"]
    assert names(seen, prompt=["x"], lot="A") == ["between"]
    assert names(seen, prompt=["x"], label="scratch:present") == []


def test_words_mean_a_label_a_defect_term_or_themselves(seen):
    label = projects.get_label(seen.session, seen.project.id, "scratch")
    label.names = {"ja": "キズ大", "en": "Deep scratch"}
    label.prompts = ["a deep groove"]
    seen.session.commit()
    for words in ("キズ大", "きず大", "deep scratch", "scratch"):
        assert search(seen, text=words).json()["prompts"] == ["a deep groove"], words
    assert search(seen, text="ｒｕｓｔｙ bolt").json()["prompts"][:2] == [
        "rusty bolt",
        "a photo of rusty bolt",
    ]
    rust = search(seen, text="錆").json()["prompts"]
    assert rust
    assert all(sentence.isascii() for sentence in rust)
    unknown = search(seen, text="青空")
    assert unknown.status_code == 422
    assert "English" in unknown.json()["detail"]


def test_one_thing_is_asked_at_a_time(seen):
    some_id = str(seen.images["up"].id)
    wrong = [
        {}, {"text": "a", "prompt": ["b"]}, {"text": "a", "similar_to": some_id}, {"text": "  "},
        {"text": "a", "limit": 201}, {"text": "a", "sort": "priority"}, {"similar_to": "x"},
        {"text": "a", "lable": "b"}, {"text": "x" * 201},
    ]  # fmt: skip
    for query in wrong:
        answer = search(seen, **query)
        assert answer.status_code == 422, query
        assert answer.headers["content-type"] == "application/problem+json"


def test_who_waits_is_told_what_is_wrong_and_may_ask_again_later(seen):
    search(seen, prompt=["x"])
    embeddings.note_problem(seen.session, BACKBONE, "no weights at hand")
    seen.session.commit()
    answer = search(seen, prompt=["x"])
    assert answer.status_code == 409
    assert "no weights at hand" in answer.json()["detail"]
    row = seen.session.scalars(select(TextEmbedding)).one()
    row.created_at = now() - 2 * embeddings.ASK_AGAIN_AFTER
    seen.session.commit()
    assert search(seen, prompt=["x"]).status_code == 202


def test_without_the_extension_only_searching_is_off(seen):
    seen.session.execute(text("DROP EXTENSION vector CASCADE"))
    seen.session.commit()
    some_id = str(seen.images["up"].id)
    for query in ({"text": "rust"}, {"similar_to": some_id}, {"prompt": ["rust"]}):
        answer = search(seen, **query)
        assert answer.status_code == 503, query
        assert "CREATE EXTENSION vector" in answer.json()["detail"]
    assert len(seen.names(sort=Order.OLDEST)) == 4
    page = f"/projects/{seen.project.slug}"
    assert seen.client.get(f"{page}/images/{some_id}").status_code == 200
    shown = seen.client.get(f"{page}/images", params={"text": "rust"})
    assert shown.status_code == 200
    assert "CREATE EXTENSION vector" in shown.text
    see(seen.session, seen.images["unseen"], ACROSS)  # workers go on, for the day it is there


def test_a_search_takes_the_same_queries_however_many_photos(seen, count_queries):
    search(seen, prompt=["x"])
    read(seen.session, "x", embedding=UP)
    counts = []
    for limit in (1, 3):
        with count_queries() as statements:
            assert len(names(seen, prompt=["x"], limit=limit)) == limit
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 13

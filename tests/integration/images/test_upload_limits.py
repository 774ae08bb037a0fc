"""Too many files, too many bytes, no disk, no database: a request ends early and loses nothing."""

import asyncio
import shutil
import threading
import time
import tracemalloc
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import httpx
from sqlalchemy import text

from app.core.db import make_sessions, transaction
from app.core.storage import sha256_of
from app.images import repository
from app.projects import service as projects
from tests import photos
from tests.factories import make_images

Usage = namedtuple("Usage", "total used free")


def blobs(settings):
    return [path for path in settings.blob_dir.rglob("*") if path.is_file()]


def incoming(settings):
    return list((settings.data_dir / "incoming").iterdir())


def test_a_hundred_files_are_taken_and_one_more_is_not(boards, rows, settings):
    files = [photos.photo(n, "BMP") for n in range(101)]
    answer = boards.send(*files)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (413, 413)
    assert (problem["max_files"], problem["max_bytes"]) == (100, 256 * 2**20)
    assert "100 files and 256 MB" in problem["detail"]
    assert (rows(), blobs(settings), incoming(settings)) == ([], [], [])
    assert boards.send(*files[:100]).json()["created"] == 100


def test_too_many_bytes_are_refused(with_settings, rows, settings):
    boards = with_settings(upload_max_bytes=20_000)
    small, large = photos.photo(1), photos.encoded(photos.noise(width=120, height=90), "BMP")
    answer = boards.send(small, large)
    assert (answer.status_code, answer.json()["max_bytes"]) == (413, 20_000)
    assert (rows(), blobs(settings), incoming(settings)) == ([], [], [])
    assert boards.send(small).status_code == 201


def test_bytes_are_counted_whatever_the_length_says(with_settings, rows, settings):
    boards = with_settings(upload_max_bytes=20_000)
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    answer = boards.client.post(
        boards.path,
        content=iter([head, bytes(30_000), b"\r\n--x--\r\n"]),  # chunked: no length at all
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert (answer.status_code, answer.json()["max_bytes"]) == (413, 20_000)
    assert (rows(), blobs(settings), incoming(settings)) == ([], [], [])


def test_five_thousand_files_end_early_in_little_memory(boards, rows, settings):
    """The body is a stream without length: what is pulled of it shows when Kizu has had enough."""
    pulled = 0

    async def body():
        nonlocal pulled
        for number in range(5000):
            pulled += 1
            name = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{number}"\r\n'
            yield name.encode() + b"\r\n" + bytes(100_000) + b"\r\n"

    async def post():
        transport = httpx.ASGITransport(boards.client.app)
        headers = {
            "content-type": "multipart/form-data; boundary=x",
            "authorization": boards.client.headers["authorization"],
        }
        async with httpx.AsyncClient(transport=transport, base_url="http://kizu") as client:
            return await client.post(boards.path, content=body(), headers=headers)

    tracemalloc.start()
    # In a thread: Playwright leaves a running loop in this one after page tests.
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asyncio.run, post()).result()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status_code, answer.json()["max_files"]) == (413, 100)
    assert pulled <= 110
    assert peak < 10 * 2**20
    assert (rows(), blobs(settings), incoming(settings)) == ([], [], [])


def test_a_nearly_full_disk_takes_nothing(with_settings, rows, settings):
    boards = with_settings(min_free_bytes=2**60)
    answer = boards.send(photos.photo())
    assert (answer.status_code, answer.json()["type"]) == (507, "/problems/out-of-space")
    assert (rows(), incoming(settings)) == ([], [])


def test_a_disk_that_fills_up_meanwhile_keeps_and_names_what_was_stored(
    boards, rows, settings, monkeypatch
):
    """The operating system's word on free space is played; everything else is real."""
    left = iter([2**40, 2**40, 2**40])  # on arrival, for the first and for the second file
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**41, 0, next(left, 0)))
    files = [(f"{n}.png", photos.photo(n)) for n in range(4)]
    answer = boards.send(*files)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (507, 507)
    assert [item["file_name"] for item in problem["items"]] == ["0.png", "1.png"]
    assert [item["status"] for item in problem["items"]] == ["created", "created"]
    assert [row.file_name for row in rows()] == ["0.png", "1.png"]
    assert (len(blobs(settings)), incoming(settings), boards.count()) == (2, [], 2)
    monkeypatch.undo()
    again = boards.send(*files)
    assert (again.status_code, again.json()["already_there"], again.json()["created"]) == (
        201,
        2,
        2,
    )


def test_a_store_that_fails_meanwhile_is_a_503_that_names_what_was_stored(boards, rows, settings):
    """A file lies where the second photo's folder would be."""
    first, second = photos.photo(1), photos.photo(2)
    assert sha256_of(first)[:2] != sha256_of(second)[:2]
    in_the_way = settings.blob_dir / "content" / sha256_of(second)[:2]
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    answer = boards.send(first, second)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (503, "/problems/unavailable")
    assert [item["status"] for item in problem["items"]] == ["created"]
    assert [row.file_name for row in rows()] == ["0.png"]
    in_the_way.unlink()
    again = boards.send(first, second)
    assert [item["status"] for item in again.json()["items"]] == ["already_there", "created"]


def test_a_store_that_does_not_answer_is_a_503(with_settings, rows, engine):
    boards = with_settings(
        storage_url="s3://photos",
        s3_endpoint="http://127.0.0.1:9",  # nobody listens there
        s3_access_key="kizu",
        s3_secret_key="kizu",
    )
    sent = boards.send(photos.photo(1))
    assert (sent.status_code, sent.json()["items"], rows()) == (503, [], [])
    with transaction(make_sessions(engine)) as session:
        (image,) = make_images(session, projects.get_project(session, boards.slug), 1)
    read = boards.client.get(f"{boards.path}/{image.id}/original")
    assert (read.status_code, read.json()["type"]) == (503, "/problems/unavailable")


def cut_connections(session):
    """What a restart of the database does to everybody else who is connected."""
    pids = session.scalars(
        text(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    ).all()
    return [session.scalar(text("SELECT pg_terminate_backend(:pid)"), {"pid": p}) for p in pids]


def test_connections_that_were_cut_while_idle_are_replaced(boards, session):
    boards.send_one(photos.photo(1))
    assert any(cut_connections(session))
    assert boards.send(photos.photo(2)).status_code == 201
    assert boards.client.get(boards.path).status_code == 200


def test_a_database_that_goes_away_in_the_middle_is_a_503_and_the_upload_can_be_repeated(
    boards, session, rows, settings
):
    """The upload of the second photo waits for this test's lock when its connection is cut."""
    first, second = photos.photo(1), photos.photo(2)
    repository.lock_content(session, sha256_of(second))
    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(boards.send, first, second)
        wait_until_somebody_waits(session)
        assert any(cut_connections(session))
        answer = answering.result(timeout=20)
    session.rollback()
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert [row.file_name for row in rows()] == ["0.png"]
    assert incoming(settings) == []
    again = boards.send(first, second)
    assert [item["status"] for item in again.json()["items"]] == ["already_there", "created"]


def wait_until_somebody_waits(session):
    here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    waiting = text(f"SELECT count(*) FROM pg_locks WHERE NOT granted AND {here}")
    deadline = time.monotonic() + 10
    while not session.scalar(waiting):
        assert time.monotonic() < deadline, "nobody waits for the lock"
        time.sleep(0.02)


def test_the_same_photo_from_many_at_once_becomes_one_row(boards, rows, settings):
    senders = 8
    together = threading.Barrier(senders)

    def send(_):
        together.wait(timeout=10)
        return boards.send(photos.photo())

    with ThreadPoolExecutor(senders) as pool:
        answers = list(pool.map(send, range(senders)))
    assert sorted(answer.status_code for answer in answers) == [200] * (senders - 1) + [201]
    assert len({answer.json()["items"][0]["image"]["id"] for answer in answers}) == 1
    assert (len(rows()), boards.count(), len(blobs(settings))) == (1, 1, 1)


def test_other_photos_from_many_at_once_are_all_there(boards, rows):
    with ThreadPoolExecutor(6) as pool:
        sent = [[photos.photo(10 * n + i) for i in range(3)] for n in range(6)]
        answers = list(pool.map(lambda files: boards.send(*files, metadata='{"lot": "A"}'), sent))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len(rows()) == boards.count() == 18


def test_an_upload_that_breaks_off_leaves_nothing(boards, rows, settings):
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    body = part + photos.photo(1) + b"\r\n" + part + photos.photo(2) + b"\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    for share in (0.2, 0.5, 0.9):
        cut = body[: int(len(body) * share)]
        answer = boards.client.post(boards.path, content=cut, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert (rows(), blobs(settings), incoming(settings)) == ([], [], [])

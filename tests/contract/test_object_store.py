"""What every `ObjectStore` promises, held against the local folder and against S3.

Other stores join by another parameter of `store`; what is peculiar to a folder comes last.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from app.core.config import Settings
from app.core.errors import NotFound, OutOfSpace, Unavailable
from app.core.storage import CHUNK, Blobs, content_key, make_store, sha256_of

KEY = "content/ab/cd/abcd"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=["folder", "s3://bucket/prefix"])
def store(request: pytest.FixtureRequest, data_dir: Path) -> Blobs:
    if request.param == "folder":
        return make_store(local(data_dir))
    endpoint = request.getfixturevalue("s3_endpoint")
    return make_store(remote(data_dir, request.param, endpoint))


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """A server that speaks S3, on a port of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_endpoint(s3_server: str) -> str:
    """The server with an empty bucket."""
    httpx.post(f"{s3_server}/moto-api/reset").raise_for_status()
    httpx.put(f"{s3_server}/bucket").raise_for_status()
    return s3_server


def remote(data_dir: Path, url: str, endpoint: str) -> Settings:
    return Settings(
        data_dir=data_dir,
        storage_url=url,
        s3_endpoint=endpoint,
        s3_access_key=SecretStr("kizu"),
        s3_secret_key=SecretStr("correct horse battery"),
    )


def local(data_dir: Path, *, min_free_bytes: int = 0) -> Settings:
    return Settings(data_dir=data_dir, storage_url=None, min_free_bytes=min_free_bytes)


def files_of(data_dir: Path) -> list[str]:
    blobs = data_dir / "blobs"
    return sorted(str(p.relative_to(blobs)) for p in blobs.rglob("*") if p.is_file())


@pytest.mark.parametrize("content", [b"", b"photo", bytes(3 * CHUNK + 1)])
def test_what_is_put_is_got_whole_and_in_pieces(store, content):
    store.put(KEY, content)
    assert store.get(KEY) == content
    assert b"".join(store.stream(KEY)) == content
    assert store.size(KEY) == len(content)


def test_a_large_blob_streams_in_more_than_one_piece(store):
    store.put(KEY, bytes(4 * CHUNK))
    assert len(list(store.stream(KEY))) > 1


def test_a_file_is_put_and_stays_where_it_is(store, tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(b"x" * 12_345)
    store.put_file(KEY, path)
    assert store.get(KEY) == path.read_bytes()


def test_a_missing_key_has_no_size(store):
    assert store.size(KEY) is None


@pytest.mark.parametrize("read", [lambda s: s.get(KEY), lambda s: b"".join(s.stream(KEY))])
def test_a_missing_key_cannot_be_read(store, read):
    with pytest.raises(NotFound):
        read(store)


def test_deleting_makes_a_key_missing_and_may_be_repeated(store):
    store.put(KEY, b"photo")
    store.delete(KEY)
    store.delete(KEY)
    assert store.size(KEY) is None


def test_putting_again_replaces(store):
    store.put(KEY, b"a longer first version")
    store.put(KEY, b"second")
    assert store.get(KEY) == b"second"
    assert store.size(KEY) == 6


def test_a_reader_never_sees_half_of_a_replacement(store):
    """What is being streamed is one version or the other, from its first byte to its last."""
    versions = [bytes([number]) * (2 * CHUNK) for number in range(4)]
    store.put(KEY, versions[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for version in versions:
                store.put(KEY, version)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [b"".join(store.stream(KEY)) for _ in range(30)]
    finally:
        stop.set()
        writer.join()
    assert all(content in versions for content in seen)


def test_keys_lists_what_lies_under_a_prefix_at_any_depth(store):
    for key in ("jobs/1/a", "jobs/1/deep/er/b", "jobs/2/c", "jobs10/d"):
        store.put(key, b"")
    assert sorted(store.keys("jobs/1")) == ["jobs/1/a", "jobs/1/deep/er/b"]
    assert sorted(store.keys("jobs")) == ["jobs/1/a", "jobs/1/deep/er/b", "jobs/2/c"]
    assert list(store.keys("nothing")) == []


@pytest.mark.slow
def test_many_keys_are_listed_in_full(store):
    expected = {f"many/{number:04}" for number in range(1001)}
    for key in expected:
        store.put(key, b"")
    assert set(store.keys("many")) == expected


@pytest.mark.parametrize("key", ["傷/写真 1.jpg", "a b/c+d=e&f.png", "dots.in.name/v1.2"])
def test_keys_may_have_any_letters(store, key):
    store.put(key, b"photo")
    assert store.get(key) == b"photo"
    assert list(store.keys(key.split("/")[0])) == [key]


@pytest.mark.parametrize("key", ["../outside", "a/../../outside"])
def test_no_key_leaves_the_store(store, data_dir, key):
    with pytest.raises(Exception, match=r"(?i)path|segment"):
        store.put(key, b"photo")
    assert not (data_dir / "outside").exists()
    assert not (data_dir.parent / "outside").exists()


def test_a_bucket_may_be_used_whole(data_dir, s3_endpoint):
    store = make_store(remote(data_dir, "s3://bucket", s3_endpoint))
    store.put(KEY, b"photo")
    assert (store.get(KEY), list(store.keys(""))) == (b"photo", [KEY])


@pytest.mark.parametrize("ask", [lambda s: s.get(KEY), lambda s: list(s.keys("jobs"))])
def test_a_store_that_does_not_answer_says_so(data_dir, ask):
    """Nobody listens at that port."""
    with pytest.raises(Unavailable):
        ask(make_store(remote(data_dir, "s3://bucket", "http://127.0.0.1:9")))


def test_content_is_fanned_out_under_its_hash():
    digest = sha256_of(b"photo")
    assert content_key(digest) == f"content/{digest[:2]}/{digest[2:4]}/{digest}"


def test_a_folder_holds_finished_blobs_only(data_dir):
    store = make_store(local(data_dir))
    store.put(KEY, b"photo")
    store.put(KEY, b"photo again")
    assert files_of(data_dir) == [KEY]


def test_a_nearly_full_disk_refuses_and_keeps_what_there_is(data_dir, tmp_path):
    make_store(local(data_dir)).put(KEY, b"photo")
    path = tmp_path / "new"
    path.write_bytes(b"new")
    nearly_full = make_store(local(data_dir, min_free_bytes=2**62))
    for put in (lambda: nearly_full.put("new", b"new"), lambda: nearly_full.put_file("new", path)):
        with pytest.raises(OutOfSpace):
            put()
    assert files_of(data_dir) == [KEY]
    assert nearly_full.get(KEY) == b"photo"


FILL_A_SMALL_DISK = """
from pathlib import Path
from app.core.config import Settings
from app.core.errors import OutOfSpace
from app.core.storage import make_store
store = make_store(Settings(data_dir=Path("data"), storage_url=None, min_free_bytes=-(2**40)))
large = Path("large")
large.write_bytes(bytes(120_000))
store.put("before", b"photo")
for put in (lambda: store.put("new", bytes(900_000)), lambda: store.put_file("new", large)):
    try:
        put()
    except OutOfSpace as error:
        print(error.status)
print(sorted(store.keys("")), store.get("before"))
"""


def test_a_disk_that_fills_up_meanwhile_is_told_and_leaves_nothing_behind(tmp_path):
    """A disk of 200 kB, seen by one child process only."""
    apart = ["unshare", "--mount", "--map-root-user"]
    if shutil.which("unshare") is None or _fails([*apart, "mount", "-t", "tmpfs", "x", "/mnt"]):
        pytest.skip("this system lets nobody mount a disk of their own")
    mount = 'mount -t tmpfs -o size=200k none . && cd . && exec "$0" -c "$1"'
    command = [*apart, "sh", "-c", mount]
    child = subprocess.run(
        [*command, sys.executable, FILL_A_SMALL_DISK],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout.split("\n")[:3] == ["507", "507", "['before'] b'photo'"], child.stderr


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_a_failed_move_leaves_no_temporary_blob(data_dir):
    store = make_store(local(data_dir))
    store.put(f"{KEY}/a-folder-now", b"photo")
    with pytest.raises(Unavailable):
        store.put(KEY, b"photo")
    assert files_of(data_dir) == [f"{KEY}/a-folder-now"]

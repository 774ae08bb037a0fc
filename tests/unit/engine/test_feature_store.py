"""Tokens under a byte budget: the least recently used go, and no crash leaves half a file."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from worker.engine.feature_store import FeatureStore, Kind
from worker.learning.tiling import Grid

KIND = Kind("backbone-1", Grid(1, 1, 96), "fp32")
SHARD_BYTES = 128 + 5 * 64 * 2  # numpy's header, and five rows of 64 halves


def content(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def features(number: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.full((4, 64), number, np.float16)
    return tokens, np.full(64, -number, np.float16)


def filled(folder, count: int, *, budget: int = 2**20) -> FeatureStore:
    store = FeatureStore(folder, budget)
    for number in range(count):
        store.put(KIND, content(number), *features(number))
    return store


def kept(store: FeatureStore, count: int) -> set[int]:
    return {number for number in range(count) if store.get(KIND, content(number)) is not None}


def files(folder) -> list:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_it_gives_back_what_was_put(tmp_path):
    store = filled(tmp_path, 3)
    tokens, pooled = store.get(KIND, content(2))
    assert isinstance(tokens, np.memmap)
    assert np.array_equal(tokens, features(2)[0])
    assert np.array_equal(pooled, features(2)[1])
    assert tokens.dtype == np.float16


def test_another_backbone_size_or_precision_is_another_feature(tmp_path):
    store = filled(tmp_path, 1)
    whole, smaller, tiled = Grid(1, 1, 96), Grid(1, 1, 64), Grid(2, 2, 96)
    for other in (
        Kind("backbone-2", whole, "fp32"),
        Kind("backbone-1", smaller, "fp32"),
        Kind("backbone-1", tiled, "fp32"),
    ):
        assert store.get(other, content(0)) is None


def test_the_index_is_the_folder_itself(tmp_path):
    filled(tmp_path, 3)
    assert kept(FeatureStore(tmp_path, 2**20), 3) == {0, 1, 2}


def test_the_budget_holds_and_the_oldest_go_first(tmp_path):
    store = FeatureStore(tmp_path, 10 * SHARD_BYTES)
    for number in range(30):
        before = set(files(tmp_path))
        store.put(KIND, content(number), *features(number))
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 10 * SHARD_BYTES
        for path in set(files(tmp_path)) - before:
            os.utime(path, (number, number))  # no two files are of one age
    left = kept(store, 30)
    assert left == set(range(30 - len(left), 30))
    assert len(left) >= 8


def test_use_keeps_a_shard(tmp_path):
    store = filled(tmp_path, 10, budget=10 * SHARD_BYTES)
    long_ago = time.time() - 1000
    for path in files(tmp_path):
        os.utime(path, (long_ago, long_ago))
    used = FeatureStore(tmp_path, 10 * SHARD_BYTES)
    assert used.get(KIND, content(0)) is not None
    used.put(KIND, content(10), *features(10))
    used.put(KIND, content(11), *features(11))
    assert used.get(KIND, content(0)) is not None
    assert len(kept(store, 10)) < 10


def test_a_mapped_shard_outlives_its_file(tmp_path):
    store = filled(tmp_path, 1)
    tokens, _ = store.get(KIND, content(0))
    store.remove(content(0))
    assert store.get(KIND, content(0)) is None
    assert np.array_equal(tokens, features(0)[0])


@pytest.mark.parametrize("damage", [b"", b"half a header", None])
def test_a_broken_file_is_a_miss_and_is_cleared_away(tmp_path, damage):
    store = filled(tmp_path, 1)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-10] if damage is None else damage)
    assert store.get(KIND, content(0)) is None
    assert files(tmp_path) == []


WRITER = """
import sys, numpy as np
from pathlib import Path
from worker.engine.feature_store import FeatureStore, Kind
from worker.learning.tiling import Grid
store, kind = FeatureStore(Path(sys.argv[1]), 2**40), Kind("backbone-1", Grid(1, 1, 96), "fp32")
print("ready", flush=True)
for number in range(10**6):
    store.put(kind, f"{number:064x}", np.ones((4000, 64), np.float16), np.ones(64, np.float16))
"""


def test_a_killed_writer_leaves_no_half_shard(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        while len(list(tmp_path.rglob("*.npy"))) < 20:
            time.sleep(0.005)
        writer.send_signal(signal.SIGKILL)
    shards = list(tmp_path.rglob("*.npy"))
    assert {np.load(path).shape for path in shards} == {(4001, 64)}


def test_what_a_killed_writer_began_is_cleared_away_later(tmp_path):
    store = filled(tmp_path, 1, budget=SHARD_BYTES)
    (path,) = files(tmp_path)
    fresh, old = path.with_suffix(".1.part"), path.with_suffix(".2.part")
    for part in (fresh, old):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.put(KIND, content(1), *features(1))
    assert fresh.exists()
    assert not old.exists()

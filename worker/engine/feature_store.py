"""Patch tokens of photos, once per photo and backbone: immutable files under a byte budget.

Each file is a memory-mapped shard of one photo, named for what it holds, so that the folder is its
own index. Everything here can be computed again: a file that is gone or broken is a miss. Several
processes may share a folder.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from worker.learning.tiling import Grid

Half = NDArray[np.float16]

# Use is noted this often at most: a training reads the same file many times a minute.
TOUCH_SECONDS = 60.0
# Room made at once, as a share of the budget, so that not every write has to look around.
SPARE_SHARE = 0.1
ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class Kind:
    """What makes tokens comparable: the backbone's weights, the photo's size and its tiles, the
    precision, and the changed view of the photo, if it is one (`worker.engine.features`)."""

    backbone_version: str
    grid: Grid
    precision: str
    view: str = ""

    @property
    def folder(self) -> str:
        grid = self.grid
        tiles = "" if grid.views == 1 else f"-{grid.rows}x{grid.columns}"
        plain = f"{self.backbone_version}-{grid.side}{tiles}-{self.precision}"
        return f"{plain}-{self.view}" if self.view else plain


def tokens_folder(data_dir: Path) -> Path:
    """Where the token store that all processes of a machine share lies."""
    return data_dir / "cache" / "tokens"


class FeatureStore:
    """Tokens (L, D) and the pooled feature (D,) of photos, by the SHA-256 of their content."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget = budget_bytes
        self._used: int | None = None
        self._touched: dict[Path, float] = {}

    @property
    def budget_bytes(self) -> int:
        return self._budget

    def get(self, kind: Kind, sha256: str) -> tuple[Half, Half] | None:
        """Tokens and pooled feature, mapped, not read; None when they have to be computed."""
        path = self._path(kind, sha256)
        try:
            shard = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            return None
        except (ValueError, OSError, EOFError):
            path.unlink(missing_ok=True)
            return None
        self._touch(path)
        return shard[1:], shard[0]

    def put(self, kind: Kind, sha256: str, tokens: Half, pooled: Half) -> None:
        """Keep a photo's features. A reader never sees half a file, also after `kill -9`."""
        path = self._path(kind, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{uuid4().hex}.part")
        with part.open("wb") as file:
            np.save(file, np.concatenate([pooled[None], tokens]).astype(np.float16, copy=False))
        self._make_room(part.stat().st_size)
        part.replace(path)

    def remove(self, sha256: str) -> None:
        """Forget a photo, whatever backbones have seen it."""
        for path in self._folder.glob(f"*/{sha256[:2]}/{sha256}.npy"):
            path.unlink(missing_ok=True)

    def _path(self, kind: Kind, sha256: str) -> Path:
        return self._folder / kind.folder / sha256[:2] / f"{sha256}.npy"

    def _touch(self, path: Path) -> None:
        now = time.monotonic()
        if now - self._touched.get(path, -TOUCH_SECONDS) >= TOUCH_SECONDS:
            self._touched[path] = now
            with contextlib.suppress(FileNotFoundError):
                os.utime(path)

    def _make_room(self, needed: int) -> None:
        """Delete what was used longest ago until `needed` bytes fit into the budget.

        What other processes write meanwhile is seen at the next look around, so that the folder
        may exceed its budget by what they write in between.
        """
        if self._used is None:
            self._used = sum(size for _, size, _ in self._shards())
        self._used += needed
        if self._used <= self._budget:
            return
        self._used = self._evict(self._budget * (1 - SPARE_SHARE) - needed) + needed

    def _evict(self, keep_bytes: float) -> int:
        """Keep the most recently used shards, up to so many bytes; returns the bytes kept."""
        self._touched.clear()
        used, full = 0, False
        for _, size, path in sorted(self._shards(), reverse=True):
            full = full or used + size > keep_bytes
            if full:
                path.unlink(missing_ok=True)
            else:
                used += size
        self._remove_abandoned()
        return used

    def _shards(self) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, size and path of every shard."""
        for path in self._folder.glob("*/*/*.npy"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path

    def _remove_abandoned(self) -> None:
        """Half files that a killed process left behind."""
        limit = time.time() - ABANDONED_SECONDS
        for path in self._folder.glob("*/*/*.part"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < limit:
                    path.unlink()

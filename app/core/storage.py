"""Blobs: photos, thumbnails, weights, exports. A small protocol over obstore.

Keys are relative paths. Content is written under a temporary key and moved into place, so a
reader never sees half a file. Local folder by default, any S3-compatible store by URL.
"""

import errno
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from app.core.config import Settings
from app.core.errors import KizuError, NotFound, OutOfSpace, Unavailable
from app.core.ids import new_id

CHUNK = 1 << 20


class ObjectStore(Protocol):
    def put(self, key: str, content: bytes) -> None: ...
    def put_file(self, key: str, path: Path) -> None: ...
    def get(self, key: str) -> bytes: ...
    def stream(self, key: str) -> Iterator[bytes]: ...
    def size(self, key: str) -> int | None: ...
    def delete(self, key: str) -> None: ...
    def keys(self, prefix: str) -> Iterator[str]: ...


class Blobs:
    """`ObjectStore` over one obstore backend."""

    def __init__(self, backend: Any, folder: Path | None = None, min_free_bytes: int = 0) -> None:
        self._backend = backend
        self._folder = folder
        self._min_free_bytes = min_free_bytes

    def put(self, key: str, content: bytes) -> None:
        self._ensure_space(len(content))
        self._write(key, content)

    def put_file(self, key: str, path: Path) -> None:
        self._ensure_space(path.stat().st_size)
        self._write(key, path)

    def get(self, key: str) -> bytes:
        with _readable(key):
            return bytes(obstore.get(self._backend, key).bytes())

    def stream(self, key: str) -> Iterator[bytes]:
        with _readable(key):
            for chunk in obstore.get(self._backend, key).stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    def size(self, key: str) -> int | None:
        """Bytes stored under `key`; None when there is nothing."""
        with suppress(NotFound), _readable(key):
            return int(obstore.head(self._backend, key)["size"])
        return None

    def delete(self, key: str) -> None:
        with suppress(NotFound), _readable(key):
            obstore.delete(self._backend, key)

    def keys(self, prefix: str) -> Iterator[str]:
        with _answering():
            for batch in obstore.list(self._backend, prefix=prefix):
                for item in batch:
                    yield item["path"]

    def _write(self, key: str, content: bytes | Path) -> None:
        temporary = f"tmp/{new_id()}"
        try:
            with _answering():
                obstore.put(self._backend, temporary, content)
                obstore.rename(self._backend, temporary, key)
        except (OSError, KizuError):
            with suppress(Unavailable):
                self.delete(temporary)
            raise

    def _ensure_space(self, needed: int) -> None:
        if self._folder is None:
            return
        if shutil.disk_usage(self._folder).free < needed + self._min_free_bytes:
            raise OutOfSpace("The disk is nearly full; nothing was stored.")


@contextmanager
def _answering() -> Iterator[None]:
    """What obstore met, in Kizu's words; a missing object stays a `FileNotFoundError`."""
    try:
        yield
    except (OSError, BaseError) as error:
        if _disk_is_full(error):
            raise OutOfSpace("The disk is full; nothing was stored.") from error
        if isinstance(error, OSError):
            raise
        raise Unavailable("The store of photos and files does not answer. Try again.") from error


@contextmanager
def _readable(key: str) -> Iterator[None]:
    try:
        with _answering():
            yield
    except FileNotFoundError as error:
        raise NotFound(f"Nothing is stored under {key}.") from error


def _disk_is_full(error: Exception) -> bool:
    """obstore tells it in words only."""
    code = re.search(r"\(os error (\d+)\)", str(error))
    return code is not None and int(code[1]) in {errno.ENOSPC, errno.EDQUOT}


def make_store(settings: Settings) -> Blobs:
    if settings.storage_url is None:
        settings.blob_dir.mkdir(parents=True, exist_ok=True)
        backend = LocalStore(settings.blob_dir.resolve(), mkdir=True)
        return Blobs(backend, settings.blob_dir.resolve(), settings.min_free_bytes)
    options: dict[str, Any] = {}
    if settings.s3_endpoint:
        options |= {"endpoint": settings.s3_endpoint, "virtual_hosted_style_request": False}
    if settings.s3_access_key and settings.s3_secret_key:
        options |= {
            "access_key_id": settings.s3_access_key.get_secret_value(),
            "secret_access_key": settings.s3_secret_key.get_secret_value(),
        }
    options["client_options"] = {"allow_http": (settings.s3_endpoint or "").startswith("http://")}
    return Blobs(S3Store.from_url(settings.storage_url, **options))


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content_key(sha256: str) -> str:
    """Where a photo lies: fanned out over folders so that none grows past a few thousand."""
    return f"content/{sha256[:2]}/{sha256[2:4]}/{sha256}"

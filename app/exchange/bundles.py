"""What is imported lies in a bundle: a zip, a folder, or a single file. Nothing is ever unpacked
under a name that the bundle chose.

A zip is judged by its directory before anything is read: names that lead elsewhere, more bytes
than the disk should take, and compression that only bombs reach are refused.
"""

import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from app.core.errors import Invalid, TooLarge
from app.exchange.records import Opener

MAX_MEMBERS = 500_000
MAX_UNPACKED_BYTES = 64 * 2**30
MAX_MEMBER_BYTES = 4 * 2**30
# Photos hardly shrink; tables may, but are small. Beyond both limits a zip is a bomb.
MAX_RATIO, RATIO_MATTERS_FROM = 100, 64 * 2**20
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
CLUTTER_FOLDERS = frozenset({"__MACOSX"})
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
_ENCRYPTED = 0x1
_LINK = 0o120000


class Bundle(ABC):
    """Files under plain relative names with `/`; clutter of file managers is left out."""

    names: list[str]

    @abstractmethod
    def open(self, name: str) -> IO[bytes]: ...

    def opener(self, name: str) -> Opener:
        return partial(self.open, name)


class FolderBundle(Bundle):
    """All files below a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names = sorted(without_clutter(_walk(folder)))

    def open(self, name: str) -> IO[bytes]:
        return (self._folder / name).open("rb")


class FileBundle(Bundle):
    """One file, under the name that its sender gave it."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.names = [name]

    def open(self, name: str) -> IO[bytes]:
        return self._path.open("rb")


class ZipBundle(Bundle):
    """The members of a zip; archives inside it stay closed."""

    def __init__(self, archive: zipfile.ZipFile, byte_size: int) -> None:
        members = [info for info in archive.infolist() if not info.is_dir()]
        _ensure_safe(members, byte_size)
        self._archive = archive
        self.names = sorted(without_clutter(info.filename for info in members))

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(name)


@contextmanager
def opened(path: Path, name: str | None = None) -> Iterator[Bundle]:
    """The bundle at `path`, which its sender called `name`. Raises `Invalid`, `TooLarge`."""
    if path.is_dir():
        yield FolderBundle(path)
        return
    if not path.is_file():
        raise Invalid(f"{path} is neither a file nor a folder.")
    if not zipfile.is_zipfile(path):
        yield FileBundle(path, name or path.name)
        return
    with _archive(path) as archive:
        yield ZipBundle(archive, path.stat().st_size)


def _archive(path: Path) -> zipfile.ZipFile:
    """Names that are not marked as UTF-8 are what a Japanese Windows writes, if they can be."""
    try:
        return zipfile.ZipFile(path, metadata_encoding="cp932")
    except UnicodeDecodeError:
        return zipfile.ZipFile(path)
    except DAMAGED as error:
        raise Invalid("The zip is damaged: its directory cannot be read.") from error


def _ensure_safe(members: list[zipfile.ZipInfo], byte_size: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise TooLarge(f"The zip has {len(members):,} files; {MAX_MEMBERS:,} are allowed.")
    for info in members:
        if leads_elsewhere(info.filename) or (info.external_attr >> 16) & 0o170000 == _LINK:
            raise Invalid(f"The zip has a file whose name leads elsewhere: {info.filename!r}.")
        if info.flag_bits & _ENCRYPTED:
            raise Invalid("The zip is encrypted; Kizu needs one without a password.")
        if info.file_size > MAX_MEMBER_BYTES:
            raise TooLarge(f"{info.filename} unpacks to {info.file_size / 2**30:.0f} GB.")
    unpacked = sum(info.file_size for info in members)
    if unpacked > MAX_UNPACKED_BYTES:
        limit = MAX_UNPACKED_BYTES / 2**30
        raise TooLarge(f"The zip unpacks to {unpacked / 2**30:.0f} GB; {limit:.0f} are allowed.")
    if unpacked > RATIO_MATTERS_FROM and unpacked > MAX_RATIO * byte_size:
        ratio = unpacked / byte_size
        raise Invalid(f"The zip unpacks to {ratio:,.0f} times its size, as only bombs do.")


def leads_elsewhere(name: str) -> bool:
    """Whether a member's name would leave the folder that it is unpacked to."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name


def without_clutter(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = PurePosixPath(name)
        if not path.name.startswith(".") and not CLUTTER_FOLDERS & set(path.parts):
            yield name


def is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            yield (Path(parent) / name).relative_to(folder).as_posix()

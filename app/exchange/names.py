"""Names of photos in files: how two photos of one name are told apart, and where a name leads.

A project may hold several photos of the same name. An export calls each of them
`name~<16 digits of its SHA-256>.png`, which an import understands.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from app.core.multipart import plain_name

DIGITS = 16
_MARKED = re.compile(rf"~(?P<digest>[0-9a-f]{{{DIGITS}}})(\.[^.]*)?$")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def exported_name(file_name: str, sha256: str, *, is_shared: bool) -> str:
    """What a photo is called in an export, where its name must be its own."""
    if not is_shared and file_name.strip("."):
        return file_name
    path = PurePosixPath(file_name.strip(".") or "photo")
    return f"{path.stem}~{sha256[:DIGITS]}{path.suffix}"


def digest_in(file_name: str) -> str | None:
    """The beginning of the SHA-256 that a name carries, or that it is."""
    name = plain_name(file_name)
    if _SHA256.fullmatch(name):
        return name
    marked = _MARKED.search(name)
    return marked["digest"] if marked else None


class FileIndex:
    """Finds the file of a bundle that a table means, however the table writes its path."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._by_last_part: dict[str, str | None] = {}
        for name in self._names:
            last = PurePosixPath(name).name
            self._by_last_part[last] = None if last in self._by_last_part else name

    def find(self, reference: str, *, root: str) -> str | None:
        """`root` is the folder of the table. A bare name is found anywhere, if it is the only."""
        path = reference.replace("\\", "/").removeprefix("./").lstrip("/")
        for candidate in (f"{root}{path}", f"{root}images/{path}", path, f"images/{path}"):
            if candidate in self._names:
                return candidate
        return self._by_last_part.get(PurePosixPath(path).name)

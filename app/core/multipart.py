"""Multipart forms read to disk as they arrive, hashed on the way; no file is ever held in memory.

Knows nothing of HTTP requests: bytes go in, a `Form` comes out. `core.http.uploads` feeds it.
"""

import errno
import hashlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.core.errors import BadRequest, OutOfSpace, TooLarge

MAX_FIELDS = 50
MAX_FIELD_BYTES = 2**20
MAX_HEADER_BYTES = 2**14


@dataclass(frozen=True)
class ReceivedFile:
    """A file that lies complete on this machine's disk, and the name its sender gave it."""

    path: Path
    file_name: str
    sha256: str
    byte_size: int


@dataclass(frozen=True)
class FormLimits:
    max_files: int
    max_bytes: int

    def exceeded(self) -> TooLarge:
        megabytes = self.max_bytes / 2**20
        return TooLarge(
            f"One request may carry {self.max_files} files and {megabytes:g} MB; "
            "nothing was stored. Send the files in several requests.",
            max_files=self.max_files,
            max_bytes=self.max_bytes,
        )


@dataclass
class Form:
    """What a form held: text fields by name, and files by the name of their field."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[ReceivedFile]] = field(default_factory=dict)


class FormReader:
    """Feeds on the chunks of a `multipart/form-data` body and writes its files into `folder`."""

    def __init__(self, content_type: str, folder: Path, limits: FormLimits) -> None:
        self.form = Form()
        self._folder = folder
        self._limits = limits
        self._received = 0
        self._files = 0
        self._header_name = self._header_value = b""
        self._disposition: dict[bytes, bytes] = {}
        self._text = bytearray()
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._ended = False
        self._parser = MultipartParser(
            _boundary(content_type),
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._open_part,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end_form,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Raises `TooLarge`, `OutOfSpace`, or `BadRequest` when the body is no form."""
        self._received += len(chunk)
        if self._received > self._limits.max_bytes:
            raise self._limits.exceeded()
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BadRequest("The body is not a readable multipart form.") from error
        except OSError as error:
            raise _translated(error) from error

    def finish(self) -> Form:
        """Raises `BadRequest` for a form without its end: what it lacks cannot be known."""
        if not self._ended:
            raise BadRequest("The multipart form ends in the middle.")
        return self.form

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin_part(self) -> None:
        self._disposition = {}
        self._text = bytearray()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._ensure_short_header()

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._ensure_short_header()

    def _ensure_short_header(self) -> None:
        if len(self._header_name) + len(self._header_value) > MAX_HEADER_BYTES:
            raise BadRequest("A header of the multipart form is too long.")

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = parse_options_header(self._header_value)[1]
        self._header_name = self._header_value = b""

    def _open_part(self) -> None:
        if b"name" not in self._disposition:
            raise BadRequest("A part of the multipart form has no name.")
        if b"filename" not in self._disposition:
            return
        self._files += 1
        if self._files > self._limits.max_files:
            raise self._limits.exceeded()
        self._digest = hashlib.sha256()
        self._file = (self._folder / str(self._files)).open("wb")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            self._digest.update(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD_BYTES or len(self.form.fields) > MAX_FIELDS:
            raise BadRequest("The text fields of the form are too large.")

    def _end_part(self) -> None:
        name = self._disposition[b"name"].decode("utf-8", "replace")
        if self._file is None:
            self.form.fields[name] = self._text.decode("utf-8", "replace")
            return
        size = self._file.tell()
        self._file.close()
        received = ReceivedFile(
            path=Path(self._file.name),
            file_name=plain_name(self._disposition[b"filename"].decode("utf-8", "replace")),
            sha256=self._digest.hexdigest(),
            byte_size=size,
        )
        self._file = None
        self.form.files.setdefault(name, []).append(received)

    def _end_form(self) -> None:
        self._ended = True


def plain_name(name: str) -> str:
    """The last part of a path, whichever system it came from, without control characters."""
    last = PurePosixPath(PureWindowsPath(name).name).name
    name = "".join(c for c in last if c.isprintable())[:255]
    return name if name.strip(". ") else "unnamed"


def _boundary(content_type: str) -> bytes:
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadRequest("Send a multipart/form-data body.")
    return options[b"boundary"]


def _translated(error: OSError) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return OutOfSpace("The disk is full; nothing was stored.")
    return error

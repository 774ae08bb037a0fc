"""CSV as spreadsheets write and read it: encodings, delimiters, cells that must not be formulas.

A cell that begins with `=`, `+`, `-` or `@` would be run by a spreadsheet, so it is written behind
an apostrophe, which is taken off again when it is read.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.core.errors import Invalid
from app.exchange.records import Opener

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
ENCODINGS = ("utf-8-sig", "cp932")
DELIMITERS = ",\t;"
CHUNK = 1 << 16
MAX_CELL = 1 << 20


@dataclass(frozen=True)
class Line:
    """One row of a table: where it ends in the file, and its cells."""

    number: int
    cells: list[str]

    def invalid(self, detail: str) -> Invalid:
        return Invalid(f"Line {self.number}: {detail}")


def guard(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    return cell[1:] if _GUARDED.match(cell) else cell


def read_lines(opener: Opener, *, delimiter: str | None = None) -> Iterator[Line | Invalid]:
    """Every row, the header first; empty ones are left out. Raises `Invalid` for what is no text.

    A row that cannot be split into cells comes as the sentence that says so.
    """
    with io.TextIOWrapper(opener(), _encoding(opener), newline="") as text:
        header = text.readline()
        delimiter = delimiter or max(DELIMITERS, key=header.count)
        text.seek(0)
        csv.field_size_limit(MAX_CELL)
        reader = csv.reader(text, delimiter=delimiter)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Invalid(f"Line {reader.line_num}: {error}.")
                continue
            if any(cells):
                yield Line(reader.line_num, [unguard(cell) for cell in cells])


def read_header(opener: Opener, *, delimiter: str | None = None) -> list[str]:
    """The names of the columns. Raises `Invalid` when the file is empty."""
    for line in read_lines(opener, delimiter=delimiter):
        if isinstance(line, Invalid):
            raise line
        return [cell.strip() for cell in line.cells]
    raise Invalid("The table is empty: it lacks even a header.")


def read_body(opener: Opener, width: int) -> Iterator[Line | Invalid]:
    """The rows after the header; one that does not have `width` cells comes as a sentence."""
    lines = read_lines(opener)
    next(lines, None)
    for line in lines:
        if isinstance(line, Line) and len(line.cells) != width:
            yield line.invalid(f"it has {len(line.cells)} cells, the header has {width}.")
        else:
            yield line


def _encoding(opener: Opener) -> str:
    """UTF-8, or what a Japanese spreadsheet writes when it does not write that."""
    for name in ENCODINGS:
        if _decodes(opener, name):
            return name
    raise Invalid("The table is neither UTF-8 nor Shift_JIS text.")


def _decodes(opener: Opener, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with opener() as file:
        try:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True

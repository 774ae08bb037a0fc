"""CSV, long: a row for each label of each photo of which something is known.

A photo about which nothing is known has one row without a label, so that it is not lost. The
format has no place for the split of a photo.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import IO

from app.core.errors import Invalid
from app.exchange.formats.tabular import Line, guard, read_body, read_header
from app.exchange.records import (
    LabelState,
    Opener,
    Record,
    Rows,
    Table,
    from_plain,
    to_plain,
)

COLUMNS = (
    "file_name", "label", "value", "score", "source", "model_version", "reviewer", "decided_at",
)  # fmt: skip
NEEDED = COLUMNS[:3]
VALUES = {
    "1": "present", "true": "present", "yes": "present",
    "0": "absent", "false": "absent", "no": "absent",
    "?": "unsure",
}  # fmt: skip
NOTHING_SAID = frozenset({"", "unknown"})


def write(records: Iterable[Record], out: IO[str]) -> None:
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerows(_rows(record))


def _rows(record: Record) -> Iterator[list[str]]:
    name = guard(record.file_name)
    for label, state in record.states.items():
        cells = to_plain(state)
        yield [name, guard(label), *(guard(str(cells.get(column, ""))) for column in COLUMNS[2:])]
    if not record.states:
        yield [name, *[""] * (len(COLUMNS) - 1)]


def read(opener: Opener, *, unlisted_absent: bool = False) -> Table:
    """Rows of one photo that follow each other make one record. With `unlisted_absent` a record is
    a full answer, so rows of a photo that come later are refused. Raises `Invalid` on the header.
    """
    header = read_header(opener)
    lacking = [column for column in NEEDED if column not in header]
    if lacking:
        raise Invalid(f"The header lacks the column {lacking[0]}.")
    return Table(labels=None, rows=_records(opener, header, once=unlisted_absent))


def _records(opener: Opener, header: list[str], *, once: bool) -> Rows:
    current: Record | None = None
    finished: set[str] = set()
    for line in chain(read_body(opener, len(header)), [None]):
        if isinstance(line, Invalid):
            yield line
            continue
        parsed = None if line is None else _parsed(line, header)
        if isinstance(parsed, Invalid):
            yield parsed
        elif parsed and current and parsed.file_name == current.file_name:
            current = replace(current, states={**current.states, **parsed.states})
        elif line and parsed and parsed.file_name in finished:
            yield line.invalid(f"the rows of {parsed.file_name} must follow each other.")
        else:
            if current is not None:
                yield current
                if once:
                    finished.add(current.file_name)
            current = parsed


def _parsed(line: Line, header: list[str]) -> Record | Invalid:
    cells = dict(zip(header, line.cells, strict=True))
    if not cells["file_name"]:
        return line.invalid("the file name is empty.")
    label, value = cells["label"].strip(), cells["value"].strip().lower()
    if not label and value in NOTHING_SAID:
        return Record(cells["file_name"])
    if not label:
        return line.invalid("the label is empty.")
    if value in NOTHING_SAID:
        return Record(cells["file_name"])
    try:
        return Record(cells["file_name"], {label: _state(cells, VALUES.get(value, value))})
    except Invalid as error:
        return line.invalid(error.detail)


def _state(cells: dict[str, str], value: str) -> LabelState:
    stripped = {name: cells.get(name, "").strip() for name in COLUMNS[3:]}
    return from_plain({**stripped, "reviewer": cells.get("reviewer"), "value": value})

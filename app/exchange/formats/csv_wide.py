"""CSV, wide: a row for each photo, a column for each label.

Cells: `1` present, `0` absent, `?` unsure, blank unknown; `p1` and `p0` are what a model says and
no person has confirmed. After `file_name` come `split` and `complete` (1: people decided every
label). Scores, versions, reviewers and times have no place here.
"""

import csv
from collections.abc import Iterable, Sequence
from typing import IO

from app.annotations.models import LabelValue
from app.core.errors import Invalid
from app.exchange.formats.tabular import Line, guard, read_body, read_header
from app.exchange.records import (
    DeclaredLabel,
    LabelState,
    Opener,
    Origin,
    Record,
    Rows,
    Table,
)

NAME_COLUMN = "file_name"
# Reserved only where they stand before the first label, so a label may bear these names too.
PHOTO_COLUMNS = ("split", "complete")
SIGNS = {LabelValue.PRESENT: "1", LabelValue.ABSENT: "0", LabelValue.UNSURE: "?"}
STATES = {sign: LabelState(value) for value, sign in SIGNS.items()} | {
    f"p{sign}": LabelState(value, Origin.PSEUDO) for value, sign in SIGNS.items()
}
OTHER_SIGNS = {
    "true": "1", "yes": "1", "present": "1", "1.0": "1",
    "false": "0", "no": "0", "absent": "0", "0.0": "0",
    "unsure": "?", "unknown": "",
}  # fmt: skip
YES = frozenset({"1", "true", "yes"})


def write(records: Iterable[Record], labels: Sequence[DeclaredLabel], out: IO[str]) -> None:
    writer = csv.writer(out)
    writer.writerow([NAME_COLUMN, *PHOTO_COLUMNS, *(guard(label.key) for label in labels)])
    for record in records:
        cells = [_cell(record.states.get(label.key)) for label in labels]
        complete = "1" if record.is_complete else "0"
        writer.writerow([guard(record.file_name), record.split or "", complete, *cells])


def _cell(state: LabelState | None) -> str:
    if state is None:
        return ""
    return SIGNS[state.value] if state.is_stated else f"p{SIGNS[state.value]}"


def read(opener: Opener) -> Table:
    """Raises `Invalid` when the header does not begin with `file_name` or names no label."""
    header = read_header(opener)
    if header[0] != NAME_COLUMN:
        raise Invalid(f"The header must begin with the column {NAME_COLUMN}.")
    reserved = 1
    while header[reserved : reserved + 1] and header[reserved] in PHOTO_COLUMNS:
        if header[reserved] in header[1:reserved]:
            break
        reserved += 1
    labels = header[reserved:]
    if not labels:
        raise Invalid("The header names no label.")
    twice = {label for label in labels if labels.count(label) > 1 or not label}
    if twice:
        raise Invalid(f"The header has an empty or repeated label: {min(twice) or '(empty)'}.")
    declared = tuple(DeclaredLabel(label) for label in labels)
    return Table(labels=declared, rows=_records(opener, header, reserved))


def _records(opener: Opener, header: list[str], reserved: int) -> Rows:
    for line in read_body(opener, len(header)):
        yield line if isinstance(line, Invalid) else _parsed(line, header, reserved)


def _parsed(line: Line, header: list[str], reserved: int) -> Record | Invalid:
    photo = dict(zip(header[:reserved], line.cells, strict=False))
    if not photo[NAME_COLUMN]:
        return line.invalid("the file name is empty.")
    states = {}
    for label, cell in zip(header[reserved:], line.cells[reserved:], strict=True):
        sign = cell.strip().lower()
        sign = OTHER_SIGNS.get(sign, sign)
        if sign and sign not in STATES:
            return line.invalid(f"{cell!r} of {label} is none of 1, 0, ?, p1, p0 and blank.")
        if sign:
            states[label] = STATES[sign]
    return Record(
        file_name=photo[NAME_COLUMN],
        states=states,
        is_complete=photo.get("complete", "").strip().lower() in YES,
        split=photo.get("split", "").strip() or None,
    )

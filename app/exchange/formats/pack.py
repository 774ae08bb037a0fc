"""The pack layout: `images/`, `labels.csv` (file, split, labels) and `classes.tsv` (label, phrase).

A plain pack knows labels that are there and says nothing of others, which means that they are
not there. Kizu adds columns for what that cannot say: `complete` (0: unnamed labels are unknown),
`absent` and `unsure`, and `suggested`, `suggested_absent` for what only a model says.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import IO

from app.annotations.models import LabelValue
from app.core.errors import Invalid
from app.exchange.formats.tabular import Line, guard, read_body, read_header, read_lines
from app.exchange.records import (
    DeclaredLabel,
    LabelState,
    Opener,
    Origin,
    Record,
    Rows,
    Table,
)

LABELS_FILE, CLASSES_FILE, IMAGES_FOLDER = "labels.csv", "classes.tsv", "images/"
SEPARATOR = "|"
MEANINGS = {
    "labels": LabelState(LabelValue.PRESENT),
    "absent": LabelState(LabelValue.ABSENT),
    "unsure": LabelState(LabelValue.UNSURE),
    "suggested": LabelState(LabelValue.PRESENT, Origin.PSEUDO),
    "suggested_absent": LabelState(LabelValue.ABSENT, Origin.PSEUDO),
}
COLUMNS = ("file", "split", *MEANINGS, "complete")
NO = frozenset({"0", "false", "no"})


def write(records: Iterable[Record], out: IO[str]) -> None:
    """The rows of `labels.csv`."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        lists = {
            column: record.of_value(state.value, stated=state.is_stated)
            for column, state in MEANINGS.items()
        }
        if record.is_complete:
            lists["absent"] = []
        cells = [guard(SEPARATOR.join(lists[column])) for column in MEANINGS]
        file = guard(IMAGES_FOLDER + record.file_name)
        writer.writerow([file, record.split or "", *cells, "1" if record.is_complete else "0"])


def write_classes(labels: Sequence[DeclaredLabel], out: IO[str]) -> None:
    """The rows of `classes.tsv`."""
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(("label", "phrase"))
    writer.writerows((guard(label.key), guard(label.phrase)) for label in labels)


def read(opener: Opener, classes: Opener | None = None) -> Table:
    """`labels.csv`, with `classes.tsv` when there is one. Raises `Invalid` on their headers."""
    header = read_header(opener)
    for column in ("file", "labels"):
        if column not in header:
            raise Invalid(f"The header of {LABELS_FILE} lacks the column {column}.")
    labels = None if classes is None else tuple(_classes(classes))
    known = None if labels is None else frozenset(label.key for label in labels)
    return Table(labels=labels, rows=_records(opener, header, known))


def _classes(opener: Opener) -> Iterable[DeclaredLabel]:
    header = read_header(opener, delimiter="\t")
    if "label" not in header:
        raise Invalid(f"The header of {CLASSES_FILE} lacks the column label.")
    lines = read_lines(opener, delimiter="\t")
    next(lines)
    for line in lines:
        if isinstance(line, Invalid):
            raise Invalid(f"{CLASSES_FILE}: {line.detail}")
        cells = dict(zip(header, line.cells, strict=False))
        yield DeclaredLabel(cells["label"].strip(), cells.get("phrase", "").strip())


def _records(opener: Opener, header: list[str], known: frozenset[str] | None) -> Rows:
    for line in read_body(opener, len(header)):
        yield line if isinstance(line, Invalid) else _parsed(line, header, known)


def _parsed(line: Line, header: list[str], known: frozenset[str] | None) -> Record | Invalid:
    cells = dict(zip(header, line.cells, strict=True))
    file_name = cells["file"].removeprefix(IMAGES_FOLDER)
    if not file_name:
        return line.invalid("the file is empty.")
    states = {
        label: state
        for column, state in MEANINGS.items()
        for label in filter(None, map(str.strip, cells.get(column, "").split(SEPARATOR)))
    }
    strange = sorted(states.keys() - known) if known is not None else []
    if strange:
        return line.invalid(f"{CLASSES_FILE} lacks the label {strange[0]}.")
    return Record(
        file_name=file_name,
        states=states,
        is_complete=cells.get("complete", "").strip().lower() not in NO,
        split=cells.get("split", "").strip() or None,
    )


def text_of_classes(labels: Sequence[DeclaredLabel]) -> str:
    out = io.StringIO()
    write_classes(labels, out)
    return out.getvalue()

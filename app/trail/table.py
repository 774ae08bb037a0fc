"""The audit trail as a table, one event a row, for spreadsheets."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from app.trail.service import Entry

COLUMNS = (
    "id", "at", "actor", "project", "action", "object_type", "object_id", "before", "after", "hash",
)  # fmt: skip
# A spreadsheet takes a cell that begins so for a formula; an apostrophe in front makes it text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(entries: Iterable[Entry]) -> Iterator[str]:
    """Comma-separated, with a header, in pieces."""
    yield _line(COLUMNS)
    for entry in entries:
        yield _line(_row(entry))


def _row(entry: Entry) -> tuple[object, ...]:
    event = entry.event
    return (
        event.id,
        event.at.isoformat(),
        entry.actor.email if entry.actor else event.actor_id,
        entry.project.slug if entry.project else event.project_id,
        event.action,
        event.object_type,
        event.object_id,
        _json(event.before),
        _json(event.after),
        event.hash,
    )


def _json(values: dict[str, Any] | None) -> str:
    return "" if values is None else json.dumps(values, ensure_ascii=False)


def _line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_as_text(cell) for cell in cells])
    return line.getvalue()


def _as_text(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell

"""Keyset pagination: a cursor names the last row of a page, so every page costs the same."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, SQLColumnExpression, tuple_
from sqlalchemy.orm import Session

from app.core.errors import BadRequest

Row = TypeVar("Row")
Item = TypeVar("Item")
MAX_LIMIT = 500


class Page(BaseModel, Generic[Item]):
    """One page of a listing; ask again with `next_cursor` until it is null."""

    items: list[Item]
    next_cursor: str | None = Field(None, examples=[None])


@dataclass(frozen=True)
class Slice(Generic[Row]):
    rows: list[Row]
    next_cursor: str | None


@dataclass(frozen=True)
class Key:
    """A sort order: columns that together identify a row, all in one direction, and how a row
    spells them."""

    columns: tuple[SQLColumnExpression[Any], ...]
    attributes: tuple[str, ...]
    descending: bool = False


def encode_cursor(values: Sequence[Any]) -> str:
    plain = [_plain(value) for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def decode_cursor(cursor: str, columns: Sequence[SQLColumnExpression[Any]]) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.urlsafe_b64decode(padded))
        if len(values) != len(columns):
            raise ValueError("another listing's cursor")
        return [_typed(value, column) for value, column in zip(values, columns, strict=True)]
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadRequest("The cursor is not one that this listing gave out.") from error


def _typed(value: Any, column: SQLColumnExpression[Any]) -> Any:
    # Tables' columns and mapped attributes have a type; their common base class does not say so.
    python_type = cast("ColumnElement[Any]", column).type.python_type
    if python_type is datetime:
        return datetime.fromisoformat(value)
    text = str(value)
    if "\0" in text:
        raise ValueError("no row has a NUL character")
    text.encode()  # half a surrogate pair, which no row has either, raises here
    return python_type(text)


def fetch_slice(
    session: Session, statement: Select[Any], key: Key, *, cursor: str | None, limit: int
) -> Slice[Any]:
    """The rows after `cursor`, one query, no OFFSET. `key.columns` must not be null."""
    if cursor is not None:
        here = tuple_(*decode_cursor(cursor, key.columns))
        position = tuple_(*key.columns)
        statement = statement.where(position < here if key.descending else position > here)
    order = [c.desc() if key.descending else c.asc() for c in key.columns]
    rows = list(session.scalars(statement.order_by(*order).limit(limit + 1)))
    if len(rows) <= limit:
        return Slice(rows, None)
    last = rows[limit - 1]
    return Slice(rows[:limit], encode_cursor([getattr(last, a) for a in key.attributes]))

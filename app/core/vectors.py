"""Vectors in the database: pgvector's type, its distance, and whether the extension is there.

Columns hold plain arrays; the type appears in queries and in indexes only, so that a schema is the
same on servers with and without the extension.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Float, SQLColumnExpression, String, bindparam, cast, text
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import UserDefinedType

LONGEST_INDEXED = 2000  # pgvector's own limit
# Filters may put most neighbours aside: from 0.8 on an index is then followed further.
LOOK_AT = "SELECT set_config('hnsw.ef_search', '200', true)"
LOOK_FURTHER = (
    "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), "
    "set_config('hnsw.max_scan_tuples', '100000', true)"
)


class Vector(UserDefinedType[Any]):
    cache_ok = True

    def __init__(self, length: int) -> None:
        self.length = length

    def get_col_spec(self, **_: Any) -> str:
        return f"vector({self.length})"


def has_extension(session: Session) -> bool:
    found = session.scalar(text("SELECT 1 FROM pg_extension WHERE extname = 'vector'"))
    return found is not None


def cosine_distance(
    column: InstrumentedAttribute[Any], vector: Sequence[float]
) -> SQLColumnExpression[float]:
    """From 0, the same direction, to 2, the opposite one."""
    kind = Vector(len(vector))
    given = bindparam(None, "[" + ",".join(map(repr, vector)) + "]", String)
    return cast(column, kind).op("<=>", return_type=Float())(cast(given, kind))


def follow_index(session: Session) -> None:
    """For this transaction: an index of vectors gives as many rows as a query asks for."""
    session.execute(text(LOOK_AT))
    version = session.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    if version is not None and tuple(map(int, version.split(".")[:2])) >= (0, 8):
        session.execute(text(LOOK_FURTHER))


def ensure_index(
    session: Session, table: str, column: str, *, part: tuple[str, str], length: int
) -> None:
    """An index of the vectors of those rows whose column `part[0]` is `part[1]`."""
    name = f"ix_{table}_near_{hashlib.sha256(part[1].encode()).hexdigest()[:12]}"
    exists = session.scalar(text("SELECT to_regclass(:name)"), {"name": name})
    if exists is not None or length > LONGEST_INDEXED or not has_extension(session):
        return
    value = part[1].replace("'", "''").replace(":", "\\:")
    session.execute(
        text(
            f"CREATE INDEX IF NOT EXISTS {name} ON {table} "
            f"USING hnsw ((CAST({column} AS vector({length}))) vector_cosine_ops) "
            f"WHERE {part[0]} = '{value}'"
        )
    )

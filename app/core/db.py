"""The database: declarative base, engine, sessions. PostgreSQL only, synchronous.

Services flush; only the edge (request, task, command) commits, through `transaction`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Engine, MetaData, create_engine
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from app.core.clock import now
from app.core.ids import new_id

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        dict[str, str]: JSONB,
        dict[str, float]: JSONB,
        list[str]: JSONB,
        int: BigInteger,
    }


class Identified:
    """A UUIDv7 primary key and the time of creation."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Versioned:
    """A counter that every edit raises: the entity tag that `If-Match` is compared with."""

    version: Mapped[int] = mapped_column(default=1)


def sqlalchemy_url(url: str) -> str:
    """Accept the plain `postgresql://` that people write and name our driver."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in {"postgres", "postgresql"} else url


# Databases stand on solid-state disks or in memory, where to follow an index costs hardly more than
# to read in order; PostgreSQL's own guess, 4, has it read whole tables instead.
CONNECTION_OPTIONS = "-c timezone=UTC -c random_page_cost=1.1"


def make_engine(url: str, *, pool_size: int = 20) -> Engine:
    return create_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=20,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "options": CONNECTION_OPTIONS},
    )


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def transaction(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """One unit of work: commit at the end, roll back on any exception."""
    with sessions() as session, session.begin():
        yield session

"""Fresh databases for tests: copies of one migrated template, 20 ms each; and empty brokers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import redis
from psycopg import sql
from sqlalchemy import make_url

from app.core.db import sqlalchemy_url
from app.core.embedded import redis_url


def on_database(url: str, name: str) -> str:
    """The same server's URL, naming another database."""
    return make_url(sqlalchemy_url(url)).set(database=name).render_as_string(hide_password=False)


@contextmanager
def _server(url: str) -> Iterator[psycopg.Connection]:
    plain = make_url(sqlalchemy_url(url)).set(drivername="postgresql")
    with psycopg.connect(
        plain.render_as_string(hide_password=False), autocommit=True
    ) as connection:
        yield connection


def create_database(url: str, name: str, *, template: str = "template1") -> str:
    """Create database `name` on the server of `url`; returns its URL."""
    with _server(url) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return on_database(url, name)


def drop_database(url: str, name: str) -> None:
    """Drop database `name`, ending connections that a failed test left open."""
    with _server(url) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def admit_connections(url: str, name: str, wanted: bool) -> None:
    """Open database `name` to new connections, or close it to them: it is out then."""
    with _server(url) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                sql.Identifier(name), sql.Literal(wanted)
            )
        )


@contextmanager
def empty_broker(url: str, worker: str | None) -> Iterator[str]:
    """The URL of a broker that tests may empty: a database of its own for each xdist `worker`."""
    url = url if worker is None else broker_database(url, int(worker.removeprefix("gw")))
    with redis.Redis.from_url(redis_url(url)) as client:
        if client.dbsize():
            pytest.fail(
                "Tests empty their broker, and this database of the one in KIZU_BROKER_URL holds "
                "something: name a broker, or a database of it, that nobody uses.",
                pytrace=False,
            )
        yield url
        client.flushdb()


def broker_database(url: str, number: int) -> str:
    """The same broker's URL, naming another of its databases."""
    address, mark, options = url.partition("?")
    for scheme, option in (("redis+socket://", "virtual_host"), ("unix://", "db")):
        if address.startswith(scheme):
            return f"{address}?{option}={number}"
    return re.sub(r"(?<=[^/])(/\d*)?$", f"/{number}", address, count=1) + mark + options

"""The one question that anybody may ask: does Kizu live?"""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url


@pytest.fixture
def close_database(services, database_url) -> Callable[[bool], None]:
    """A function that takes the test's database away (true) or gives it back (false)."""
    name = str(make_url(database_url).database)
    server = make_url(services.database_url).set(drivername="postgresql")

    def close(is_away: bool) -> None:
        with psycopg.connect(
            server.render_as_string(hide_password=False), autocommit=True
        ) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                    sql.Identifier(name), sql.Literal(not is_away)
                )
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    return close


def test_it_lives(anonymous):
    answer = anonymous.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": True}


def test_without_its_database_it_says_so_and_recovers_by_itself(anonymous, close_database):
    anonymous.get("/health")
    close_database(True)
    answer = anonymous.get("/health")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "The database does not answer. Try again."
    assert int(answer.headers["retry-after"]) > 0
    close_database(False)
    assert anonymous.get("/health").status_code == 200


def test_the_api_without_its_database_answers_in_the_same_way(client, close_database):
    close_database(True)
    assert client.get("/api/v1/me").status_code == 503
    close_database(False)
    assert client.get("/api/v1/me").status_code == 200

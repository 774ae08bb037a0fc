"""The schema: bring a database to the newest migration, or refuse to work with an older one."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from app.core.db import make_engine
from app.core.errors import Unavailable

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head") -> None:
    command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    command.downgrade(alembic_config(url), revision)


def head() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def current(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_at_head(url: str) -> bool:
    engine = make_engine(url)
    try:
        return current(engine) == head()
    finally:
        engine.dispose()


def ensure_at_head(engine: Engine) -> None:
    """Raise `Unavailable`, with the command that mends it, unless the schema is the newest."""
    here = current(engine)
    if here != head():
        raise Unavailable(
            f"The database schema is at {here or 'nothing'}, Kizu needs {head()}. Run: kizu migrate"
        )

"""Alembic's entry: the metadata of every noun, and the URL the caller chose."""

import importlib
import pkgutil

from alembic import context

import app
from app.core.config import get_settings
from app.core.db import Base, make_engine


def import_models() -> None:
    importlib.import_module("app.core.audit")
    importlib.import_module("app.core.idempotency")
    for module in pkgutil.iter_modules(app.__path__):
        if module.ispkg and importlib.util.find_spec(f"app.{module.name}.models"):
            importlib.import_module(f"app.{module.name}.models")


def run() -> None:
    import_models()
    url = context.config.attributes.get("url") or get_settings().database_url
    engine = make_engine(url)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()

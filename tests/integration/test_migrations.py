"""Migrations: one head, up and down with rows present, and no drift against the models."""

import uuid

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.orm import Session

from app.core import migrate, vectors
from app.core.clock import now
from app.core.db import Base, make_engine
from app.core.errors import Unavailable
from app.images.models import ImageState
from app.main import create_app
from app.pseudolabels import service as pseudolabels
from app.pseudolabels.rows import PredictionRow
from tests.factories import make_images, make_project, make_version


def test_there_is_one_head():
    assert len(ScriptDirectory(str(migrate.MIGRATIONS)).get_heads()) == 1


def test_tables_match_the_models(engine: Engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_round_trip_with_rows_present(engine: Engine, database_url: str):
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO user_account "
                "(id, created_at, email, display_name, role, locale, version) "
                "VALUES (:id, now(), 'a@example.com', 'A', 'admin', 'ja', 1)"
            ),
            {"id": uuid.uuid4()},
        )
    migrate.downgrade(database_url, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == migrate.head()


def test_margins_are_filled_in_where_predictions_are_present(
    session: Session, engine: Engine, database_url: str
):
    project = make_project(session)
    version = make_version(session, project, [])
    photos = make_images(session, project, 2)
    for photo, probabilities in zip(photos, ([0.9, 0.3], []), strict=True):
        row = PredictionRow(photo.id, probabilities, [1.0], 0.5, 0.0, novelty=0.7)
        pseudolabels.store_predictions(session, version=version, rows=[row])
    session.commit()
    migrate.downgrade(database_url, "0002")
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT prediction.margin, image.margin AS of_image, prediction.novelty "
                "FROM prediction JOIN image ON image.id = image_id ORDER BY margin"
            )
        )
        (filled, empty) = rows.all()
    assert filled.margin == pytest.approx(0.2)
    assert filled.of_image == filled.margin
    assert (empty.margin, filled.novelty, empty.novelty) == (0.5, None, None)


def test_the_indexes_of_the_kpis_take_rows_that_are_there(
    session: Session, engine: Engine, database_url: str
):
    project = make_project(session)
    make_images(session, project, 2, line="L1")
    make_images(session, project, 1)
    session.commit()
    migrate.downgrade(database_url, "0004")
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        found = connection.execute(text("SELECT line FROM image WHERE line IS NOT NULL"))
        assert list(found.scalars()) == ["L1", "L1"]


def test_photos_of_before_wait_to_be_searched(session: Session, engine: Engine, database_url: str):
    project = make_project(session)
    ready, received, gone = make_images(session, project, 3)
    received.state = ImageState.RECEIVED
    gone.deleted_at = now()
    ready.perceptual_hash, ready.burst_id = 5, ready.id
    session.commit()
    migrate.downgrade(database_url, "0004")
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        waiting = connection.execute(text("SELECT image_id, backbone FROM image_embedding")).all()
        (burst,) = connection.execute(
            text("SELECT burst_id FROM image WHERE id = :id"), {"id": ready.id}
        ).one()
    assert [tuple(row) for row in waiting] == [(ready.id, "")]
    assert burst is None
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_extension WHERE extname='vector'"))


def test_who_may_not_create_extensions_can_migrate(empty_database_url: str):
    """Searching is off there, and that is all."""
    engine = make_engine(empty_database_url)
    name = engine.url.database
    owner = f"owner_of_{name}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {owner}"))
        connection.execute(text(f"ALTER DATABASE {name} OWNER TO {owner}"))
        connection.execute(text(f"ALTER DATABASE {name} SET role TO {owner}"))
    engine.dispose()
    try:
        migrate.upgrade(empty_database_url)
        assert migrate.is_at_head(empty_database_url)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT current_user")) == owner
        with Session(engine) as session:
            assert not vectors.has_extension(session)
    finally:
        engine.dispose()
        with engine.begin() as connection:
            connection.execute(text("RESET role"))
            connection.execute(text("SET role TO none"))
            connection.execute(text(f"ALTER DATABASE {name} RESET role"))
            connection.execute(text(f"ALTER DATABASE {name} OWNER TO CURRENT_USER"))
            connection.execute(text(f"DROP OWNED BY {owner} CASCADE"))
            connection.execute(text(f"DROP ROLE {owner}"))
        engine.dispose()


def test_upgrade_twice_changes_nothing(database_url: str):
    migrate.upgrade(database_url)
    assert migrate.is_at_head(database_url)


def test_the_service_refuses_an_old_schema_and_names_the_remedy(
    empty_database_url, settings, monkeypatch
):
    old = settings.model_copy(update={"database_url": empty_database_url})
    with pytest.raises(Unavailable, match="Run: kizu migrate"):
        create_app(old)


def test_every_constraint_has_a_name(engine: Engine):
    inspector = inspect(engine)
    for table in inspector.get_table_names():
        for key in inspector.get_foreign_keys(table):
            assert key["name"], table
        for unique in inspector.get_unique_constraints(table):
            assert unique["name"], table


def test_a_database_that_is_not_at_head_is_seen(empty_database_url):
    assert not migrate.is_at_head(empty_database_url)
    engine = make_engine(empty_database_url)
    with pytest.raises(Unavailable):
        migrate.ensure_at_head(engine)
    engine.dispose()

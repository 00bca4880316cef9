"""Migrations on PostgreSQL, by an owner that is no superuser."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from botfleet.store.engine import SCHEMA
from botfleet.store.tables import metadata
from tests.support.installation import DATABASE, OWNER, Installation, migrate


@pytest.fixture
def owner(installation: Installation) -> sa.Engine:
    url = sa.make_url(installation.server.dsn_for(OWNER, installation.passwords[OWNER], DATABASE))
    return sa.create_engine(url.set(drivername="postgresql+psycopg"), poolclass=sa.pool.NullPool)


def test_the_migrations_make_what_the_tables_say(owner: sa.Engine) -> None:
    with owner.connect() as connection:
        connection.exec_driver_sql(f"set search_path to {SCHEMA}")
        options = {
            "include_name": lambda name, kind, _: not (kind == "table" and name == "alembic_version"),
            "compare_type": True,
            "compare_server_default": True,
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_migrating_again_changes_nothing_and_keeps_the_installations_id(installation: Installation) -> None:
    before = installation.id
    migrate(installation)
    assert installation.id == before
    assert len(before) == 8
    int(before, 16)


def test_everything_is_in_one_schema_and_belongs_to_the_owner(installation: Installation) -> None:
    with installation.superuser() as connection:
        rows = connection.execute(
            "select nspname, pg_get_userbyid(relowner) from pg_class c join pg_namespace n on n.oid = relnamespace "
            "where nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and relkind in ('r', 'S', 'v', 'f') "
            "group by 1, 2"
        ).fetchall()
    assert rows == [(SCHEMA, OWNER)]

"""Why: Alembic's entrance. The connection comes from the caller (botfleet-migrate, tests) or from a URL in the environment.

On PostgreSQL everything lives in one schema, which the owner role makes; it never relies on a search_path set elsewhere.
"""

import os
from pathlib import Path

import sqlalchemy as sa
from alembic import context

from botfleet.store.engine import SCHEMA
from botfleet.store.tables import metadata


def main() -> None:
    """Upgrade with the caller's connection, or with one of our own."""
    if context.is_offline_mode():
        raise SystemExit("run the migrations with a connection: what an installation is called is made while they run")
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run(connection)
        return
    engine = sa.create_engine(_url_from_environment(), poolclass=sa.pool.NullPool, hide_parameters=True)
    with engine.connect() as own:
        run(own)
    engine.dispose()


def run(connection: sa.Connection) -> None:
    """All revisions that are missing, in one transaction; nothing is left half done."""
    postgresql = connection.dialect.name == "postgresql"
    context.configure(
        connection=connection,
        target_metadata=metadata,
        # Alembic's own table is none of ours.
        include_name=lambda name, kind, _parents: not (kind == "table" and name == "alembic_version"),
        version_table_schema=SCHEMA if postgresql else None,
        transactional_ddl=True,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        if postgresql:
            connection.exec_driver_sql(f"create schema if not exists {SCHEMA}")
            connection.exec_driver_sql(f"set local search_path to {SCHEMA}")
        context.run_migrations()
    if connection.in_transaction() and context.config.attributes.get("connection") is None:
        connection.commit()


def _url_from_environment() -> sa.URL:
    text = os.environ.get("BOTFLEET_OWNER_DATABASE_URL") or os.environ.get("BOTFLEET_DATABASE_URL")
    if not text:
        raise SystemExit("set BOTFLEET_OWNER_DATABASE_URL (or BOTFLEET_DATABASE_URL for a SQLite file)")
    url = sa.make_url(text)
    if url.password is not None:
        raise SystemExit("the database URL holds a password; name a file in BOTFLEET_OWNER_DATABASE_PASSWORD_FILE")
    if url.get_backend_name() == "sqlite":
        return url.set(drivername="sqlite")
    file = os.environ.get("BOTFLEET_OWNER_DATABASE_PASSWORD_FILE")
    return url.set(drivername="postgresql+psycopg", password=Path(file).read_text().strip() if file else None)


main()

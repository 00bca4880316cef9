"""Why: a program waits at its start until the database has the schema that it needs. It never changes one, but a SQLite file's."""

import asyncio

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from botfleet.store.engine import Store
from botfleet.store.errors import SchemaIncompatible, StoreError, StoreUnavailable
from botfleet.store.fence import now
from botfleet.store.identity import new_installation_id
from botfleet.store.tables import installation, metadata

REVISION = "0013"
COMPATIBLE_FROM = "0001"
_PAUSE_SECONDS = 0.5

# Alembic's own table, as it makes it: no table of the product, so not in the metadata.
_versions = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


async def stored_revision(store: Store) -> tuple[str, str] | None:
    """The database's revision and the oldest that it is compatible with; None: it has none (yet).

    Raises:
        StoreUnavailable: not known.
    """
    statement = sa.select(_versions.c.version_num, installation.c.compatible_from).select_from(
        _versions.join(installation, sa.true())
    )
    try:
        async with store.read() as connection:
            row = (await connection.execute(statement)).first()
    except StoreUnavailable as error:
        # SQLite says OperationalError for a table that is not there.
        if not store.is_postgresql and "no such table" in str(error):
            return None
        raise
    except StoreError:
        # Not made yet, or not granted yet: both pass when the migrations have run.
        return None
    return None if row is None else (row[0], row[1])


def usable(revision: str, compatible_from: str) -> bool | None:
    """Whether this program can use such a schema. None: not yet, the schema is older.

    Revisions are zero-padded numbers, so they compare as text.
    """
    if revision < REVISION:
        return None
    return revision == REVISION or compatible_from <= REVISION


async def wait_for_schema(store: Store, deadline: float) -> None:
    """Return once the database has at least this program's revision. It is asked once at least, within the store's own time.

    Args:
        deadline: seconds.

    Raises:
        SchemaIncompatible: the database is later than this program and not compatible with it: waiting cannot help.
        StoreUnavailable: the deadline passed.
    """
    end = asyncio.get_running_loop().time() + deadline
    missing = await _missing(store)
    try:
        async with asyncio.timeout_at(end):
            while missing is not None:
                await asyncio.sleep(_PAUSE_SECONDS)
                missing = await _missing(store)
    except TimeoutError:
        raise StoreUnavailable(
            f"after {deadline:.0f} s the database {missing}; revision {REVISION} is needed. Have the migrations run?"
        ) from None


async def _missing(store: Store) -> str | None:
    """What of the database this program has to wait for; None: nothing."""
    try:
        found = await stored_revision(store)
    except StoreUnavailable as error:
        return f"does not answer ({error})"
    if found is None:
        return "has no schema yet"
    if usable(*found) is False:
        raise SchemaIncompatible(
            f"the database is at revision {found[0]}, for programs of {found[1]} and later; "
            f"this one knows {REVISION}. Use a newer image."
        )
    return None if usable(*found) else f"is at revision {found[0]}"


async def create_all_sqlite(store: Store) -> None:
    """Bring a SQLite file of one bot to this program's revision; a new file is made with it.

    An older file gets the tables, columns and indexes that it lacks, all in one transaction, and loses nothing: revisions
    only ever add what may be missing in a row (`test_a_file_of_the_first_revision_becomes_what_a_new_one_is`).

    Raises:
        SchemaIncompatible: a later program has used this file.
    """
    if store.is_postgresql:
        raise ValueError("on PostgreSQL the migrations make the schema")
    found = await stored_revision(store)
    if found is None:
        await _make_file(store)
    elif usable(*found) is False:
        raise SchemaIncompatible(f"the data is of revision {found[0]}, this program knows {REVISION}")
    elif found[0] < REVISION:
        await _add_what_is_new(store)


async def _make_file(store: Store) -> None:
    async with store.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.run_sync(_versions.create)
        await connection.execute(sa.insert(_versions).values(version_num=REVISION))
        await connection.execute(
            sa.insert(installation).values(id=new_installation_id(), compatible_from=COMPATIBLE_FROM, created_at=now())
        )


async def _add_what_is_new(store: Store) -> None:
    async with store.begin() as connection:
        await connection.run_sync(_add_columns)
        await connection.run_sync(metadata.create_all)
        await connection.run_sync(_add_indexes)
        await connection.execute(sa.update(_versions).values(version_num=REVISION))
        await connection.execute(sa.update(installation).values(compatible_from=COMPATIBLE_FROM))


def _add_columns(connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    for name in inspector.get_table_names():
        if name not in metadata.tables:
            continue
        known = {column["name"] for column in inspector.get_columns(name)}
        for column in metadata.tables[name].columns:
            if column.name not in known:
                # As the file of this revision has it: type, "not null" with its default.
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f'ALTER TABLE "{name}" ADD COLUMN {definition}')


def _add_indexes(connection: sa.Connection) -> None:
    for table in metadata.tables.values():
        for index in table.indexes:
            index.create(connection, checkfirst=True)

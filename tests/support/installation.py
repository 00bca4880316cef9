"""Why: a database as an installation has it: owner without superuser, operator, group, a role a bot. For tests and benchmarks.

The roles, the schema and the privileges come from the product; only the passwords are made here.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from botfleet.store import bootstrap_sql, privileges
from botfleet.store.bots import Bot, BotRepository, runner_group
from botfleet.store.engine import Store, create_store
from botfleet_tools.run import capture
from botfleet_tools.servers import Postgres

ROOT = Path(__file__).parents[2]
OWNER = "botfleet_owner"
OPERATOR = "botfleet_operator"
DATABASE = "botfleet"


@dataclass
class Installation:
    """A server with one installation in it."""

    server: Postgres
    id: str
    passwords: dict[str, str]
    bots: int = 0

    @property
    def group(self) -> str:
        return runner_group(self.id)

    def connect(self, role: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.dsn_for(role, self.passwords[role], DATABASE), autocommit=True)

    def superuser(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.dsn_for(self.server.user, self.server.password, DATABASE), autocommit=True)

    def store(self, role: str, **settings: Any) -> Store:
        url = f"postgresql://{role}@{self.server.host}:{self.server.port}/{DATABASE}"
        return create_store(url, self.passwords[role], **settings)

    async def new_bot(self, operator: Store) -> Bot:
        """A bot with its role, as the operator makes them."""
        self.bots += 1
        bot = await BotRepository(operator).create("hotel", f"bot-{self.bots}", f"uid-{self.bots}", self.id)
        assert bot.role_name is not None
        await asyncio.to_thread(self._make_role, bot.role_name)
        return bot

    def _make_role(self, role: str) -> None:
        self.passwords[role] = secrets.token_urlsafe(12)
        inherit = " with inherit true, set false" if self.server.version != "15" else ""
        with self.connect(OPERATOR) as connection:
            connection.execute(f"create role \"{role}\" login password '{self.passwords[role]}'")
            connection.execute(f'grant "{self.group}" to "{role}"{inherit}')


def migrate(installation: Installation) -> None:
    """What botfleet-migrate does: migrations as the owner, the group as the operator, privileges as the owner."""
    server = installation.server
    url = sa.make_url(server.dsn_for(OWNER, installation.passwords[OWNER], DATABASE))
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), poolclass=sa.pool.NullPool)
    config = Config(attributes={})
    config.set_main_option("script_location", str(ROOT / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        installation.id = connection.exec_driver_sql("select id from botfleet.installation").scalar_one()
    with installation.connect(OPERATOR) as connection:
        connection.execute(privileges.group_statement(installation.group))
    apply_privileges(installation)
    engine.dispose()


def apply_privileges(installation: Installation) -> None:
    with installation.connect(OWNER) as connection, connection.transaction():
        for statement in privileges.statements(OWNER, OPERATOR, installation.group):
            connection.execute(statement)


def bootstrap(server: Postgres, folder: Path) -> dict[str, str]:
    """The superuser's part, as the bundled server runs it: passwords come from files."""
    passwords = {OWNER: secrets.token_urlsafe(12), OPERATOR: secrets.token_urlsafe(12)}
    lines = [f"\\set owner {OWNER}", f"\\set operator {OPERATOR}"]
    for name, role in (("owner", OWNER), ("operator", OPERATOR)):
        file = folder / name
        file.write_text(passwords[role])
        lines.append(f"\\set {name}_password `cat {file}`")
    script = "\n".join([*lines, bootstrap_sql()])
    psql = ["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "-h", server.host, "-p", str(server.port)]
    capture(
        [*psql, "-U", server.user, "-d", DATABASE],
        stdin=script.encode(),
        deadline_seconds=60,
        env={**os.environ, "PGPASSWORD": server.password},
    )
    return passwords


@contextlib.contextmanager
def installed(version: Literal["15", "18"], folder: Path, *, fsync: bool = False) -> Iterator[Installation]:
    """A server of its own with one installation in it; `folder` is for the files with its passwords."""
    with Postgres(version, fsync=fsync) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(f"create database {DATABASE}")
        made = Installation(server, "", bootstrap(server, folder))
        migrate(made)
        yield made

"""The product uses nothing of PostgreSQL that cannot be forbidden to another bot's role; and the search for it can be trusted."""

from pathlib import Path

import pytest

from tests.unit.store.unprotected import in_python, in_sql

ROOT = Path(__file__).parents[3]
# All that runs in a user's cluster, or beside it; tests, tools and prose do not.
PRODUCT = ("core", "botrunner", "operator", "simulator", "migrations", "charts", "images")
SQL = {".sql", ".mako", ".sh", ".yaml", ".tpl", ".txt"}


def search(file: Path) -> list[str]:
    found = in_python(file.read_text()) if file.suffix == ".py" else in_sql(file.read_text())
    return [f"{file.relative_to(ROOT)}: {word}" for word in found]


def files_of(part: str) -> list[Path]:
    return [file for file in (ROOT / part).rglob("*.*") if file.suffix in {".py", *SQL}]


@pytest.mark.parametrize("part", PRODUCT)
def test_the_product_uses_nothing_that_postgresql_cannot_forbid(part: str) -> None:
    assert files_of(part)
    assert [hit for file in files_of(part) for hit in search(file)] == []


def test_the_search_reads_all_of_the_product() -> None:
    assert sum(file.suffix == ".py" for part in PRODUCT for file in files_of(part)) > 150


@pytest.mark.parametrize(
    "source",
    [
        'text("NOTIFY channel")',
        'text("listen bots;")',
        'text("  Listen bots")',
        'f"LISTEN {channel}"',
        'f"select 1; listen {channel}"',
        'f"{first} ; notify {channel}"',
        'sql.SQL("LISTEN {}").format(name)',
        'sql.SQL("NOTIFY {}, {}").format(name, payload)',
        '"UNLISTEN *"',
        '"LIS" "TEN bots"',
        '"LISTEN " + channel',
        '" ".join(["NOTIFY", channel])',
        '"LISTEN %s" % channel',
        '"listen \\"My channel\\""',
        '"""\n    -- wake the others\n    NOTIFY bots\n"""',
        '"/* wake */ notify bots"',
        'b"LISTEN bots"',
        '"do $$ begin notify bots; end $$"',
        "\"do $x$begin execute 'notify ' || quote_ident(name); end$x$\"",
        '"create rule r as on insert to t do also notify bots"',
        "\"select pg_notify('x', 'y')\"",
        "\"select PG_NOTIFY('x', 'y')\"",
        'f"perform pg_notify({channel}, new.id::text)"',
        "sa.func.pg_notify('x', 'y')",
        'getattr(sa.func, "pg_notify")',
        '"select * from pg_listening_channels()"',
        '"select pg_advisory_lock(1)"',
        '"select pg_try_advisory_xact_lock(1)"',
        "sa.func.pg_advisory_xact_lock(1)",
        "async for note in connection.notifies(): pass",
        "connection.add_notify_handler(seen)",
        "await connection.add_listener('bots', seen)",
        "await raw.driver_connection.remove_listener('bots', seen)",
        'getattr(connection, "add_listener")("bots", seen)',
        "wait = connection.notifies",
    ],
)
def test_the_search_finds(source: str) -> None:
    if source.lstrip("bf").startswith('"'):
        source = f"await execute({source})"
    assert in_python(f"async def used():\n  {source}")


@pytest.mark.parametrize(
    "source",
    [
        '"""Listen to people. Notify nobody."""',
        'class A:\n    """NOTIFY is not used here."""',
        '"# Nothing trusts NOTIFY or an advisory lock."',
        "x = 1  # LISTEN bots",
        'sa.event.listen(engine, "connect", prepare)',
        "condition.notify_all()",
        "condition.notify()",
        "await server.listen(host, port)",
        'Option(help="Address to listen on.")',
        'f"listening on {port}"',
        'print(json.dumps({"event": "listening"}))',
        "types.PeerNotifySettings(notify_settings=1)",
        '"select notify from settings"',
        '"update people set listen = true; select 1"',
        '"create table listeners (id int)"',
        '"begin; select 1"',
    ],
)
def test_the_search_leaves_alone(source: str) -> None:
    assert in_python(source if "await" not in source else f"async def used():\n    {source}") == []


@pytest.mark.parametrize("text", ["NOTIFY channel;", "select 1;\nlisten bots;", "select pg_advisory_lock(1);"])
def test_the_search_finds_it_in_a_file_of_sql(text: str) -> None:
    assert in_sql(text)

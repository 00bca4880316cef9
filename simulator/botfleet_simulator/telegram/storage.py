"""The simulated Telegram on disk: SQLite, written in one transaction before the answers that tell of it leave.

What an RPC has answered survives kill -9 of the process. A power failure may take the last moments (synchronous is off):
an fsync a message would make the simulator the slowest part of every benchmark. Only bytes of files are read outside start-up.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists meta (name text primary key, value text not null) without rowid;
create table if not exists accounts (id integer primary key, data text not null);
create table if not exists chats (id integer primary key, data text not null);
create table if not exists auth_keys (id text primary key, data text not null) without rowid;
create table if not exists posts (
  uid integer primary key, sender_id integer not null, target integer not null, data text not null);
create table if not exists copies (
  owner integer not null, id integer not null, uid integer not null, primary key (owner, id)) without rowid;
create table if not exists boxes (
  owner integer primary key, pts integer not null, last_id integer not null, floor integer not null);
create table if not exists dialogs (
  owner integer not null, peer integer not null, read_in integer not null, read_out integer not null,
  primary key (owner, peer)) without rowid;
create table if not exists files (id integer primary key, data text not null);
create table if not exists bytes (id integer primary key, data blob not null);
create table if not exists log (
  owner integer not null, pts integer not null, count integer not null, kind text not null, data text not null,
  primary key (owner, pts)) without rowid;
"""

UPSERTS = {
    "meta": "insert into meta values (?, ?) on conflict (name) do update set value = excluded.value",
    "accounts": "insert into accounts values (?, ?) on conflict (id) do update set data = excluded.data",
    "chats": "insert into chats values (?, ?) on conflict (id) do update set data = excluded.data",
    "auth_keys": "insert into auth_keys values (?, ?) on conflict (id) do update set data = excluded.data",
    "posts": "insert into posts values (?, ?, ?, ?) on conflict (uid) do update set data = excluded.data",
    "copies": "insert or replace into copies values (?, ?, ?)",
    "boxes": "insert into boxes values (?, ?, ?, ?) on conflict (owner) do update set"
    " pts = excluded.pts, last_id = excluded.last_id, floor = excluded.floor",
    "dialogs": "insert into dialogs values (?, ?, ?, ?) on conflict (owner, peer) do update set"
    " read_in = excluded.read_in, read_out = excluded.read_out",
    "files": "insert into files values (?, ?) on conflict (id) do update set data = excluded.data",
    "bytes": "insert into bytes values (?, ?) on conflict (id) do nothing",
    "log": "insert or replace into log values (?, ?, ?, ?, ?)",
}
DELETES = {
    "auth_keys": "delete from auth_keys where id = ?",
    "copies": "delete from copies where owner = ? and id = ?",
    "log_after": "delete from log where owner = ? and pts > ?",
    "log_until": "delete from log where owner = ? and pts <= ?",
}


class Storage:
    """Collects what changed and writes it at `commit()`; the order of changes is kept where it matters (deletes after writes)."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = off")
        self._db.executescript(SCHEMA)
        self._keyed: dict[str, dict[Any, tuple[Any, ...]]] = {}
        self._dirty = False

    def put(self, table: str, key: Any, *row: Any) -> None:
        """Write a row; a second write of the same key before the commit replaces the first."""
        rows = self._keyed.get(table)
        if rows is None:
            rows = self._keyed[table] = {}
        rows[key] = row
        self._dirty = True

    def put_document(self, table: str, key: Any, document: dict[str, Any]) -> None:
        """Write a JSON document."""
        self.put(table, key, key, json.dumps(document))

    def delete(self, what: str, *key: Any) -> None:
        """Delete rows; `what` is a name in DELETES. Pending writes of this transaction come first."""
        self._write_rows()
        self._db.execute(DELETES[what], key)

    def commit(self) -> None:
        """Make everything so far durable against the death of the process."""
        if not self._dirty:
            return
        self._write_rows()
        if self._db.in_transaction:
            self._db.execute("commit")
        self._dirty = False

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Read at start-up."""
        yield from self._db.execute(query)

    def blob(self, query: str, *values: Any) -> bytes:
        """One value that is too large to be held in memory; what is not written yet is written first."""
        if any(self._keyed.values()):
            self._write_rows()
        row = self._db.execute(query, values).fetchone()
        return b"" if row is None else bytes(row[0])

    def documents(self, table: str) -> Iterator[dict[str, Any]]:
        """The JSON documents of a table, in the order of their keys."""
        for (data,) in self._db.execute(f"select data from {table} order by id"):  # noqa: S608 - names of our own tables
            yield json.loads(data)

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._db.close()

    def _write_rows(self) -> None:
        self._dirty = True
        if not self._db.in_transaction:
            self._db.execute("begin")
        for table, rows in self._keyed.items():
            if rows:
                self._db.executemany(UPSERTS[table], list(rows.values()))
                rows.clear()

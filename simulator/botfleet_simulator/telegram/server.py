"""The simulated Telegram server: its keys, its connections, and the one place where state is committed before answers leave.

Wiring only; it must never know what a method does.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botfleet_simulator import log
from botfleet_simulator.faults import FaultBook
from botfleet_simulator.recorder import Pulse, Recorder
from botfleet_simulator.telegram.access import Access
from botfleet_simulator.telegram.connection import Connection
from botfleet_simulator.telegram.delivery import Delivery
from botfleet_simulator.telegram.keyfile import ServerKey
from botfleet_simulator.telegram.logintokens import LoginTokens
from botfleet_simulator.telegram.manage import Management
from botfleet_simulator.telegram.messaging import Messaging
from botfleet_simulator.telegram.rpc import Call, Dispatcher
from botfleet_simulator.telegram.session import KeyRecord
from botfleet_simulator.telegram.settings import EFFECTS, Settings
from botfleet_simulator.telegram.storage import Storage
from botfleet_simulator.telegram.world import World

DC_ID = 2
_log = log.get("telegram")


@dataclass(slots=True)
class LoginCode:
    """The code that was sent to a phone last."""

    code: str
    hash: str
    sent: float


class Server:
    """A Telegram data center of one process."""

    def __init__(self, state: Path, server_key: ServerKey, public_host: str) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.storage = Storage(state / "state.sqlite3")
        self.world = World(self.storage)
        self.files = self.world.files
        self.server_key = server_key
        self.public_host = public_host
        self.port = 0
        self.settings = Settings()
        self.faults = FaultBook(EFFECTS)
        self.calls: Recorder[Call] = Recorder()
        self.changes = Pulse()
        self.codes: dict[str, LoginCode] = {}
        self.login_tokens = LoginTokens(self)
        self.keys: dict[int, KeyRecord] = {}
        self.messaging = Messaging(self.world)
        self.access = Access(self.world)
        self.delivery = Delivery(self)
        self.manage = Management(self)
        self.dispatcher = Dispatcher(self)
        self.connections: set[Connection] = set()
        self._by_key: dict[int, set[Connection]] = {}
        self._keys_of: dict[int, dict[int, KeyRecord]] = {}
        self._dirty: set[Connection] = set()
        self._flush_planned = False
        self._numbers = 0
        self._listener: asyncio.Server | None = None
        for data in self.storage.documents("auth_keys"):
            self._index(KeyRecord.from_document(data))

    # ---- life
    async def listen(self, host: str, port: int) -> None:
        """Accept clients; port 0 is a free one, see `port`."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), host, port, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]
        self.storage.commit()
        _log.info("telegram.listening", host=host, port=self.port)

    async def close(self) -> None:
        """Cut everybody, save, stop."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.cut()
        await self.dispatcher.close()
        self.storage.close()

    # ---- connections
    def next_connection_number(self) -> int:
        """A number for logs and the admin API."""
        self._numbers += 1
        return self._numbers

    def admit(self, connection: Connection) -> bool:
        """Whether a new connection may stay."""
        if self.faults.take("refuse"):
            return False
        connection.mute = self.faults.take("hang_handshake") is not None
        self.connections.add(connection)
        self.changes.beat()
        return True

    def attach(self, connection: Connection) -> None:
        """A connection speaks for a key now."""
        record = connection.key
        if record is None:
            return
        for others in self._by_key.values():
            others.discard(connection)
        mates = self._by_key.setdefault(record.key.key_id, set())
        mates.add(connection)
        record.active = int(time.time())
        if len(mates) > 1 and self._refuses_second(record):
            _log.info("key.duplicated", key=record.name)
            self.kill_key(record, "AUTH_KEY_DUPLICATED")
        self.changes.beat()

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self._dirty.discard(connection)
        if connection.key is not None:
            self._by_key.get(connection.key.key.key_id, set()).discard(connection)
        self.changes.beat()

    def of_key(self, record: KeyRecord) -> list[Connection]:
        """The live connections of a key."""
        return list(self._by_key.get(record.key.key_id, ()))

    def live(self, account_id: int) -> Iterator[Connection]:
        """The live connections of an account, over all its keys that are good."""
        for key_id, record in self._keys_of.get(account_id, {}).items():
            if record.error is None:
                yield from self._by_key.get(key_id, ())

    # ---- answers
    def needs_flush(self, connection: Connection) -> None:
        """Something is queued; it leaves when this turn of the loop has ended and the state is committed."""
        self._dirty.add(connection)
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        self.storage.commit()
        dirty, self._dirty = self._dirty, set()
        for connection in dirty:
            connection.flush()

    def moved(self) -> None:
        """The world has changed: who waits for messages looks again."""
        self.changes.beat()

    # ---- keys
    def add_key(self, key: Any, account_id: int | None = None) -> KeyRecord:
        """Take in a new authorization key."""
        record = KeyRecord(key=key, created=int(time.time()), account_id=account_id)
        self._index(record)
        self.save_key(record)
        return record

    def save_key(self, record: KeyRecord) -> None:
        """Write what changed in a key."""
        self.storage.put_document("auth_keys", record.name, record.to_document())

    def keys_of(self, account_id: int) -> list[KeyRecord]:
        """The keys that an account is logged in with."""
        return list(self._keys_of.get(account_id, {}).values())

    def log_in(self, record: KeyRecord, account_id: int | None) -> None:
        """Make a key speak for an account, or for nobody."""
        if record.account_id is not None:
            self._keys_of.get(record.account_id, {}).pop(record.key.key_id, None)
        record.account_id, record.awaiting_password = account_id, None
        if account_id is not None:
            self._keys_of.setdefault(account_id, {})[record.key.key_id] = record
        self.save_key(record)
        self.changes.beat()

    def kill_key(self, record: KeyRecord, error: str) -> None:
        """From now on every call with the key is answered with this error (FORGET: transport error -404)."""
        record.error = error
        self.save_key(record)
        self.changes.beat()

    def forgets(self, record: KeyRecord) -> bool:
        """Whether a fault wants this key forgotten now."""
        if self.faults.take("forget_key", account=str(record.account_id)) is None:
            return False
        self.kill_key(record, "FORGET")
        self.storage.commit()
        return True

    def distrusts_salt(self, record: KeyRecord) -> bool:
        """Whether a fault wants a good salt refused."""
        return self.faults.take("bad_salt", account=str(record.account_id)) is not None

    def _refuses_second(self, record: KeyRecord) -> bool:
        if self.settings.duplicate_keys == "refuse":
            return True
        return self.faults.take("auth_key_duplicated", account=str(record.account_id)) is not None

    def _index(self, record: KeyRecord) -> None:
        self.keys[record.key.key_id] = record
        if record.account_id is not None:
            self._keys_of.setdefault(record.account_id, {})[record.key.key_id] = record

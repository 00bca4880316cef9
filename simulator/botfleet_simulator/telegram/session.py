"""Authorization keys with what belongs to them, and MTProto sessions: message ids, sequence numbers, salts.

It must never send anything itself.
"""

import os
import secrets
import struct
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from telethon.crypto import AuthKey

CLOCK_BEHIND, CLOCK_AHEAD = 300, 30
SESSIONS_A_KEY = 32
REMEMBERED_IDS = 512
FORGET = "FORGET"


@dataclass(slots=True)
class KeyRecord:
    """An authorization key: whose it is, whether it is dead, on what device it lives."""

    key: Any
    created: int
    account_id: int | None = None
    error: str | None = None
    api_id: int = 0
    layer: int = 0
    device_model: str = ""
    system_version: str = ""
    app_version: str = ""
    active: int = 0
    awaiting_password: int | None = None
    srp: dict[int, int] = field(default_factory=dict)
    salt: int = field(default_factory=lambda: struct.unpack("<q", os.urandom(8))[0] or 1)
    sessions: "OrderedDict[int, Session]" = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        """The key's id as text: what admin calls and logs use."""
        return f"{self.key.key_id:016x}"

    def to_document(self) -> dict[str, Any]:
        """What is stored of it."""
        plain = (
            "created",
            "account_id",
            "error",
            "api_id",
            "layer",
            "device_model",
            "system_version",
            "app_version",
            "salt",
        )
        return {"key": self.key.key.hex(), **{name: getattr(self, name) for name in plain}}

    @classmethod
    def from_document(cls, data: dict[str, Any]) -> "KeyRecord":
        """The key of a stored document."""
        return cls(key=AuthKey(bytes.fromhex(data.pop("key"))), **data)

    def session(self, session_id: int) -> "Session":
        """The session with that id, made when it is new."""
        found = self.sessions.get(session_id)
        if found is None:
            found = self.sessions[session_id] = Session(session_id)
            while len(self.sessions) > SESSIONS_A_KEY:
                self.sessions.popitem(last=False)
        return found


class Session:
    """One MTProto session of a key: it may outlive a connection."""

    __slots__ = ("_content", "_last_id", "_order", "_seen", "announced", "id", "known", "receiving")

    def __init__(self, session_id: int) -> None:
        self.id = session_id
        self.receiving = False
        # Who was shown to this client in full: of these alone it can make sense of short updates.
        self.known: set[int] = set()
        self.announced = False
        self._content = 0
        self._last_id = 0
        self._seen: set[int] = set()
        self._order: deque[int] = deque()

    def next_id(self, *, answer: bool) -> int:
        """An id for a message of the server: 1 modulo 4 for answers, 3 for all else."""
        candidate = int(time.time() * 2**32) & ~3
        if candidate <= self._last_id:
            candidate = self._last_id + 4
        self._last_id = candidate
        return candidate | (1 if answer else 3)

    def next_seq(self, *, content: bool) -> int:
        """The sequence number of a message of the server."""
        seq = self._content * 2 + (1 if content else 0)
        self._content += content
        return seq

    def first_time(self, message_id: int) -> bool:
        """Whether this message of the client had not arrived before."""
        if message_id in self._seen:
            return False
        self._seen.add(message_id)
        self._order.append(message_id)
        if len(self._order) > REMEMBERED_IDS:
            self._seen.discard(self._order.popleft())
        return True


def clock_error(message_id: int) -> int | None:
    """The code of bad_msg_notification that a client's message id deserves; None when it is good."""
    if message_id % 4:
        return 18
    sent = message_id >> 32
    now = time.time()
    if sent < now - CLOCK_BEHIND:
        return 16
    return 17 if sent > now + CLOCK_AHEAD else None


def random_id() -> int:
    """An id as clients choose them: signed, 64 bits, never 0."""
    return struct.unpack("<q", os.urandom(8))[0] or 1


def new_auth_key() -> Any:
    """A key that no handshake made, for ready-made sessions."""
    return AuthKey(secrets.token_bytes(256))

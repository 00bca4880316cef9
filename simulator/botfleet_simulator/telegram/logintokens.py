"""Tokens of logins by QR code: who shows one, who has scanned it, and until when it is good.

In memory only, as login codes are. It must never log anybody in: that is the client's next call.
"""

import base64
import secrets
import time
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telethon.tl import types

from botfleet_simulator.telegram.domain import Account
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.session import KeyRecord
from botfleet_simulator.telegram.world import now

if TYPE_CHECKING:
    from botfleet_simulator.telegram.server import Server

PREFIX = "tg://login?token="
TOKEN_BYTES = 36


@dataclass(slots=True)
class LoginToken:
    """What a client shows as a QR code. `account_id`: who has scanned it."""

    token: bytes
    key: KeyRecord
    expires: float
    but_not: Container[int]
    account_id: int | None = None

    @property
    def link(self) -> str:
        """What the QR code says."""
        return PREFIX + base64.urlsafe_b64encode(self.token).decode().rstrip("=")


class LoginTokens:
    """The tokens of one server: one for each key that waits to be logged in, the newest."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._of_key: dict[int, LoginToken] = {}

    def of(self, key: KeyRecord) -> LoginToken | None:
        """The token that a key shows, also one that is over."""
        return self._of_key.get(key.key.key_id)

    def waiting(self) -> list[LoginToken]:
        """Those that can be scanned now, the oldest first."""
        return [found for found in self._of_key.values() if found.account_id is None and found.expires > time.time()]

    def new(self, key: KeyRecord, but_not: Container[int]) -> LoginToken:
        """Another token for a key: the one before is good no more."""
        self._of_key.pop(key.key.key_id, None)
        expires = time.time() + self._server.settings.login_token_seconds
        made = self._of_key[key.key.key_id] = LoginToken(secrets.token_bytes(TOKEN_BYTES), key, expires, but_not)
        self._server.changes.beat()
        return made

    def named(self, token: bytes) -> LoginToken:
        """The token with these bytes. Raises RpcError."""
        found = next((one for one in self._of_key.values() if secrets.compare_digest(one.token, token)), None)
        if found is None:
            raise RpcError("AUTH_TOKEN_INVALIDX")
        return found

    def drop(self, token: LoginToken) -> None:
        """It has done its work."""
        self._of_key.pop(token.key.key.key_id, None)

    def accept(self, account: Account, token: bytes) -> LoginToken:
        """An account scans a code: whoever shows it is told. Raises RpcError as auth.acceptLoginToken does."""
        found = self.named(token)
        if found.account_id is not None:
            raise RpcError("AUTH_TOKEN_ALREADY_ACCEPTED")
        if found.expires <= time.time():
            raise RpcError("AUTH_TOKEN_EXPIRED")
        if account.id in found.but_not:
            raise RpcError("AUTH_TOKEN_EXCEPTION")
        found.account_id = account.id
        body = bytes(types.UpdateShort(types.UpdateLoginToken(), now()))
        for connection in self._server.of_key(found.key):
            if connection.receiving:
                connection.send(body, answer=False)
        return found


def token_of(link: str) -> bytes:
    """The token in a link. Raises ValueError."""
    if not link.startswith(PREFIX):
        raise ValueError(f"a link begins with {PREFIX}")
    text = link.removeprefix(PREFIX)
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)

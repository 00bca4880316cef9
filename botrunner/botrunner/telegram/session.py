"""Why: what Telethon knows when it connects comes from the store alone. It is used for one connection and thrown away.

A Session that outlives its connection carries a pts that was never stored, and the messages under it are lost.
"""

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from telethon.sessions import MemorySession, StringSession
from telethon.tl import types

from botfleet.conditions import Reason
from botfleet.store.rows import ACCOUNT_STATE, PeerRow, UpdateState
from botrunner.telegram.entities import bare_channel_id, is_channel
from botrunner.telegram.types import RefusedError, Server


class InboxSession(MemorySession):  # type: ignore[misc]
    """Address, key, states and channels' hashes. It collects no entities: they have a memory of their own, with a bound."""

    def __init__(self, key: str, states: Mapping[int, UpdateState], channels: Iterable[PeerRow]) -> None:
        """Args:
        key: a StringSession's text.
        states: as stored; without the account's Telethon would begin at the server's and skip what was missed.
        channels: without a channel's hash Telethon does not catch up there.
        """
        super().__init__()
        source = StringSession(key)
        self.set_dc(source.dc_id, source.server_address, source.port)
        self.auth_key = source.auth_key
        self._channels = {bare_channel_id(row.peer_id): row.access_hash for row in channels if is_channel(row.peer_id)}
        for channel_id, state in states.items():
            if channel_id == ACCOUNT_STATE or channel_id in self._channels:
                self.set_update_state(channel_id, _telethon_state(state))

    def process_entities(self, tlo: Any) -> None:
        """Nothing: the base class keeps every user for ever."""

    def get_input_entity(self, key: Any) -> Any:
        """A channel by its bare id, or what names itself already."""
        if isinstance(key, int):
            if key in self._channels:
                return types.InputPeerChannel(key, self._channels[key])
            raise ValueError("not known")
        return super().get_input_entity(key)


def _telethon_state(state: UpdateState) -> Any:
    # Telethon takes a pts of 0 for "no state" and would begin at the server's.
    date = state.date or datetime.fromtimestamp(1, UTC)
    return types.updates.State(max(state.pts, 1), state.qts, date, state.seq, 0)


def new_session(server: Server | None, address: str | None) -> StringSession:
    """A session without a key, for a first login. `address`: of the server, resolved; None: Telethon's own servers."""
    session = StringSession()
    if server is not None and address is not None:
        session.set_dc(server.dc_id, address, server.port)
    return session


def parse_session(text: str, server: Server | None, address: str | None) -> StringSession:
    """A stored StringSession, at the server that the manifest names, if it is of that data center. (An account may live in
    another one; then a login has moved there, and the session knows its address.)

    Raises:
        RefusedError: it is no StringSession, or one without a key.
    """
    try:
        session = StringSession(text.strip())
    except (ValueError, IndexError, struct.error) as error:
        raise RefusedError(Reason.SESSION_INVALID) from error
    if not session.auth_key:
        raise RefusedError(Reason.SESSION_INVALID)
    if server is not None and address is not None and session.dc_id == server.dc_id:
        session.set_dc(server.dc_id, address, server.port)
    return session

"""Access hashes, and what an input peer means to the account that uses it.

A hash belongs to the pair of viewer and viewed, as Telegram's do: one account's hash is of no use to another. It must never
let a peer through whose hash is wrong.
"""

import hashlib
from functools import lru_cache
from typing import Any

from telethon.tl import types

from botfleet_simulator.telegram.domain import Account, Chat, is_channel, mark_chat
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.world import World


@lru_cache(maxsize=65_536)
def access_hash(viewer_id: int, peer: int) -> int:
    """The hash under which a viewer reaches a peer: stable, 64 bits, never 0."""
    digest = hashlib.sha256(f"access {viewer_id} {peer}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True) or 1


class Access:
    """Input peers of one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def user(self, viewer: Account, given: Any) -> Account:
        """The account of an InputUser or InputPeerUser. Raises PEER_ID_INVALID."""
        if isinstance(given, types.InputUserSelf | types.InputPeerSelf):
            return viewer
        if isinstance(given, types.InputUserFromMessage | types.InputPeerUserFromMessage):
            return self._from_message(viewer, given)
        if isinstance(given, types.InputUser | types.InputPeerUser):
            account = self.world.accounts.get(given.user_id)
            if account is not None and self._may_reach(viewer, account, given.access_hash):
                return account
        raise RpcError("PEER_ID_INVALID")

    def channel(self, viewer: Account, given: Any, *, member: bool = True) -> Chat:
        """The channel or supergroup of an InputChannel or InputPeerChannel. Raises CHANNEL_INVALID or CHANNEL_PRIVATE."""
        if not isinstance(given, types.InputChannel | types.InputPeerChannel):
            raise RpcError("CHANNEL_INVALID")
        chat = self.world.chats.get(mark_chat(given.channel_id, "channel"))
        if chat is None:
            raise RpcError("CHANNEL_INVALID")
        known = given.access_hash == access_hash(viewer.id, chat.id)
        if not known and not (viewer.is_bot and given.access_hash == 0 and viewer.id in chat.members):
            raise RpcError("CHANNEL_INVALID")
        if viewer.id in chat.banned or (member and viewer.id not in chat.members and chat.username is None):
            raise RpcError("CHANNEL_PRIVATE")
        return chat

    def group(self, viewer: Account, bare: int) -> Chat:
        """The basic group with that id, of which the viewer is or was a member. Raises CHAT_ID_INVALID."""
        chat = self.world.chats.get(mark_chat(bare, "basic"))
        if chat is None or (viewer.id not in chat.members and chat.id not in self.world.box(viewer.id).dialogs):
            raise RpcError("CHAT_ID_INVALID")
        return chat

    def peer(self, viewer: Account, given: Any) -> int:
        """The marked id of an input peer. Raises RpcError."""
        if isinstance(given, types.InputPeerChat):
            try:
                return self.group(viewer, given.chat_id).id
            except RpcError:
                raise RpcError("PEER_ID_INVALID") from None
        if isinstance(given, types.InputPeerChannel):
            return self.channel(viewer, given).id
        return self.user(viewer, given).id

    def _may_reach(self, viewer: Account, account: Account, given_hash: int) -> bool:
        if given_hash == access_hash(viewer.id, account.id):
            return True
        return viewer.is_bot and given_hash == 0 and self._knows(viewer, account)

    def _knows(self, viewer: Account, account: Account) -> bool:
        if account.id in self.world.box(viewer.id).dialogs:
            return True
        return any(viewer.id in chat.members and account.id in chat.members for chat in self.world.chats.values())

    def _from_message(self, viewer: Account, given: Any) -> Account:
        peer = self.peer(viewer, given.peer)
        post = self.world.box_of(viewer.id, peer).posts.get(given.msg_id)
        if post is None or post.peer_for(viewer.id) != peer or post.sender_id != given.user_id:
            raise RpcError("MSG_ID_INVALID")
        return self.world.account(given.user_id)


def to_peer(peer: int) -> Any:
    """The TL peer of a marked id."""
    if peer > 0:
        return types.PeerUser(peer)
    return types.PeerChannel(-peer - 1_000_000_000_000) if is_channel(peer) else types.PeerChat(-peer)

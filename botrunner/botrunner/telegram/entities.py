"""Why: to write to a peer one needs its access hash, which comes with updates at Telegram's leisure. A bounded memory of them,
and of what peers call themselves: a message in short form brings neither.

Channels' hashes are kept for the life of the connection, since without them their updates cannot be fetched; people's
give way, the oldest first: the store has them.
"""

import unicodedata
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from telethon import utils
from telethon.tl import types

from botfleet.store.rows import CHANNELS_BELOW, PeerRow
from botrunner.telegram.careful import read

_LARGEST = 2**63 - 1  # of a column

PEOPLE = 5000
"""How many people's hashes are kept in memory."""


def is_channel(peer_id: int) -> bool:
    """Whether a marked id is a channel's or a supergroup's."""
    return peer_id < CHANNELS_BELOW


def is_group(peer_id: int) -> bool:
    """Whether a marked id is a basic group's; those have no access hash."""
    return CHANNELS_BELOW <= peer_id < 0


def channel_peer_id(channel_id: int) -> int:
    """The marked id of a channel.

    Raises:
        ValueError: it is none that can be stored.
    """
    return _fitting(CHANNELS_BELOW - channel_id)


def bare_channel_id(peer_id: int) -> int:
    """The channel of a marked id."""
    return CHANNELS_BELOW - peer_id


def marked(peer: Any) -> int:
    """The marked id of a peer, or of what came along of one.

    Raises:
        TypeError: it is nobody.
        ValueError: its id is none that can be stored.
    """
    return _fitting(int(utils.get_peer_id(peer)))


def _fitting(peer_id: int) -> int:
    if abs(peer_id) > _LARGEST:
        raise ValueError("no id of anybody")
    return peer_id


def hash_of(entity: Any) -> PeerRow | None:
    """The usable access hash of a user or channel as Telegram sent it; None: it has none, or a "min" one.

    Source: https://core.telegram.org/api/min -- a min hash is good for nothing that we do.
    """
    access_hash = getattr(entity, "access_hash", None)
    if not isinstance(entity, types.User | types.Channel | types.ChannelForbidden):
        return None
    if access_hash is None or getattr(entity, "min", False):
        return None
    return PeerRow(marked(entity), access_hash)


NAME_MOST = 64
"""Characters of a name. Telegram allows as many for each of its two parts."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Who somebody is to others."""

    name: str | None
    bot: bool


def profile_of(entity: Any) -> Profile | None:
    """What a user or a chat as Telegram sent it says of itself; None: nothing."""
    if isinstance(entity, types.User):
        name = " ".join(part for part in (entity.first_name, entity.last_name) if part)
        return Profile(shown_name(name) or shown_name(entity.username or ""), bool(entity.bot))
    if isinstance(entity, types.Chat | types.Channel):
        return Profile(shown_name(entity.title), bot=False)
    return None


def shown_name(name: str) -> str | None:
    """A name on one line, without signs that turn or hide what stands beside it; None: nothing is left."""
    kept = "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in name)
    return " ".join(kept.split())[:NAME_MOST].strip() or None


class Entities:
    """Access hashes by marked peer id, and profiles."""

    def __init__(self, known: Iterable[PeerRow] = (), *, people: int = PEOPLE) -> None:
        self._channels: dict[int, int] = {}
        self._discussions: set[int] = set()
        self._people: OrderedDict[int, int] = OrderedDict()
        self._profiles: OrderedDict[int, Profile] = OrderedDict()
        self._limit = people
        for row in known:
            self._put(row)

    def channels(self) -> list[PeerRow]:
        """Of every channel."""
        return [PeerRow(peer_id, access_hash) for peer_id, access_hash in self._channels.items()]

    def get(self, peer_id: int) -> int | None:
        """The access hash; 0 for a basic group, which needs none; None: not known."""
        if is_group(peer_id):
            return 0
        return self._channels.get(peer_id) if is_channel(peer_id) else self._people.get(peer_id)

    def profile(self, peer_id: int) -> Profile | None:
        """What was told of it last; None: nothing, or it was long ago."""
        return self._profiles.get(peer_id)

    def is_discussion(self, peer_id: int) -> bool:
        """Whether it is a group in which a channel's posts are discussed."""
        return peer_id in self._discussions

    def learn(self, entities: Iterable[Any]) -> list[PeerRow]:
        """Remember what came with updates.

        Returns:
            What was not known, or was known otherwise: to be stored.
        """
        new = []
        for entity in entities:
            read(entity, self._note)
            row = read(entity, hash_of)
            if row is not None and self.get(row.peer_id) != row.access_hash:
                new.append(row)
                self._put(row)
        return new

    def keep(self, rows: Iterable[PeerRow]) -> None:
        """Remember hashes that came by another way."""
        for row in rows:
            self._put(row)

    def _note(self, entity: Any) -> None:
        profile = profile_of(entity)
        if profile is None:
            return
        peer_id = marked(entity)
        if isinstance(entity, types.Channel) and not entity.min:
            (self._discussions.add if entity.megagroup and entity.has_link else self._discussions.discard)(peer_id)
        self._profiles[peer_id] = profile
        self._profiles.move_to_end(peer_id)
        while len(self._profiles) > self._limit:
            self._profiles.popitem(last=False)

    def _put(self, row: PeerRow) -> None:
        if is_channel(row.peer_id):
            self._channels[row.peer_id] = row.access_hash
            return
        self._people[row.peer_id] = row.access_hash
        self._people.move_to_end(row.peer_id)
        while len(self._people) > self._limit:
            self._people.popitem(last=False)


def input_peer(peer_id: int, access_hash: int) -> Any:
    """How a request names a peer."""
    if is_channel(peer_id):
        return types.InputPeerChannel(bare_channel_id(peer_id), access_hash)
    if is_group(peer_id):
        return types.InputPeerChat(-peer_id)
    return types.InputPeerUser(peer_id, access_hash)

"""Access hashes: which count, and how many are kept."""

from telethon.tl import types

from botfleet.store.rows import PeerRow
from botrunner.telegram.entities import (
    Entities,
    bare_channel_id,
    channel_peer_id,
    hash_of,
    input_peer,
    is_channel,
    is_group,
)

CHANNEL = -1000000002001


def user(number: int, access_hash: int | None = 7, *, minimal: bool = False) -> types.User:
    return types.User(id=number, access_hash=access_hash, min=minimal)


def channel(number: int, access_hash: int | None = 7, *, minimal: bool = False) -> types.Channel:
    return types.Channel(
        id=number, title="t", photo=types.ChatPhotoEmpty(), date=None, access_hash=access_hash, min=minimal
    )


def test_marked_ids_are_telegrams():
    assert channel_peer_id(2001) == CHANNEL
    assert bare_channel_id(CHANNEL) == 2001
    assert is_channel(CHANNEL)
    assert is_group(-2001)
    assert not is_group(CHANNEL)
    assert not is_channel(2001)


def test_whether_a_channel_is_discussed_in_a_group_is_what_was_told_last_in_full():
    def group(has_link: bool, **more: bool) -> types.Channel:
        return types.Channel(
            id=2001, title="t", photo=types.ChatPhotoEmpty(), date=None, has_link=has_link, **{"megagroup": True} | more
        )

    entities = Entities()
    for told, known in [
        (group(True), True),
        (group(False, min=True), True),
        (group(False), False),
        (group(True, megagroup=False), False),  # the channel itself
    ]:
        entities.learn([told])
        assert entities.is_discussion(CHANNEL) is known


def test_users_and_channels_have_a_hash_min_ones_and_basic_groups_have_none():
    assert hash_of(user(5)) == PeerRow(5, 7)
    assert hash_of(channel(2001)) == PeerRow(CHANNEL, 7)
    assert hash_of(user(5, minimal=True)) is None
    assert hash_of(channel(2001, minimal=True)) is None
    assert hash_of(user(5, None)) is None
    assert hash_of(types.UserEmpty(5)) is None
    assert hash_of(types.ChatForbidden(5, "t")) is None
    assert hash_of(types.ChannelForbidden(2001, 7, "t")) == PeerRow(CHANNEL, 7)


def test_only_what_is_new_is_to_be_stored():
    entities = Entities([PeerRow(5, 7)])
    assert entities.learn([user(5), user(6), channel(2001)]) == [PeerRow(6, 7), PeerRow(CHANNEL, 7)]
    assert entities.learn([user(6, 8), user(6, 8)]) == [PeerRow(6, 8)]


def test_a_basic_group_needs_no_hash_and_a_stranger_has_none():
    assert Entities().get(-2001) == 0
    assert Entities().get(5) is None


def test_people_have_a_bound_and_channels_stay():
    entities = Entities([PeerRow(CHANNEL, 1)], people=2)
    entities.learn([user(1), user(2), user(3)])
    assert [entities.get(number) for number in (1, 2, 3)] == [None, 7, 7]
    assert entities.get(CHANNEL) == 1
    assert entities.channels() == [PeerRow(CHANNEL, 1)]


def test_peers_are_named_as_requests_want_them():
    assert input_peer(5, 7) == types.InputPeerUser(5, 7)
    assert input_peer(-5, 0) == types.InputPeerChat(5)
    assert input_peer(CHANNEL, 7) == types.InputPeerChannel(2001, 7)

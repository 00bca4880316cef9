"""What Telethon's message box drops is kept until it is stored."""

import logging
from datetime import UTC, datetime

import pytest
from telethon._updates import EntityCache, GapError
from telethon._updates.session import ChannelState, SessionState
from telethon.tl import functions, types

from botrunner.telegram.messagebox import RecordingMessageBox

DATE = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
async def box() -> RecordingMessageBox:
    made = RecordingMessageBox(logging.getLogger("test"))
    made.load(SessionState(0, 0, False, 10, 0, 1, 0, None), [ChannelState(2001, 3)])
    return made


def message(number: int, text: str = "hi", **more):
    return types.Message(id=number, peer_id=types.PeerUser(5), date=DATE, message=text, **more)


def difference(messages=(), updates=()):
    return types.updates.Difference(list(messages), [], list(updates), [], [], types.updates.State(20, 0, DATE, 0, 0))


async def test_an_edit_of_a_difference_that_telethon_drops_is_kept(box):
    box.try_begin_get_diff("ACCOUNT", "")
    with pytest.raises(GapError):
        box.process_updates(types.UpdatesTooLong(), EntityCache(), [])
    edit = types.UpdateEditMessage(message(1, edit_date=DATE), 15, 1)
    updates, _, _ = box.apply_difference(difference([message(2)], [edit]), EntityCache())
    assert edit not in updates
    raw = box.take()
    assert [m.id for m in raw.messages] == [2]
    assert raw.updates == [edit]
    assert box.take().updates == []


async def test_a_channels_difference_is_kept_whole(box):
    box.begin([2001])
    request = functions.updates.GetChannelDifferenceRequest(
        types.InputChannel(2001, 9), types.ChannelMessagesFilterEmpty(), 3, 100
    )
    gone = types.UpdateDeleteChannelMessages(2001, [1], 5, 1)
    box.apply_channel_difference(
        request, types.updates.ChannelDifference(6, [message(2)], [gone], [], [], final=True), EntityCache()
    )
    raw = box.take()
    assert raw.updates == [gone]
    assert [m.id for m in raw.messages] == [2]


async def test_the_proof_of_our_own_send_is_kept_although_telethon_hides_it(box):
    answer = types.Updates(
        [types.UpdateMessageID(55, 123), types.UpdateNewMessage(message(55, out=True), 11, 1)], [], [], DATE, 0
    )
    answer._self_outgoing = True
    shown: list[object] = []
    box.process_updates(answer, EntityCache(), shown)
    assert shown == []
    assert box.take().updates == [types.UpdateMessageID(55, 123)]


async def test_a_channel_that_is_not_known_is_fetched_from_its_beginning(box):
    box.process_updates(types.UpdateShort(types.UpdateChannelTooLong(2002, 40), DATE), EntityCache(), [])
    assert box.map[2002].pts == 1
    assert 2002 in box.getting_diff_for


async def test_a_known_channel_is_fetched_from_where_it_stands(box):
    box.process_updates(types.UpdateShort(types.UpdateChannelTooLong(2001, 40), DATE), EntityCache(), [])
    assert box.map[2001].pts == 3
    assert 2001 in box.getting_diff_for


async def test_differences_that_telegram_no_longer_has_are_told():
    told: list[int] = []
    box = RecordingMessageBox(logging.getLogger("test"), told.append)
    box.load(SessionState(0, 0, False, 10, 0, 1, 0, None), [ChannelState(2001, 3)])
    box.begin([2001])
    request = functions.updates.GetChannelDifferenceRequest(
        types.InputChannel(2001, 9), types.ChannelMessagesFilterEmpty(), 3, 100
    )
    dialog = types.Dialog(types.PeerChannel(2001), 1, 0, 0, 0, 0, 0, 0, types.PeerNotifySettings(), pts=9)
    too_long = types.updates.ChannelDifferenceTooLong(dialog, [], [], [], final=True)
    box.apply_channel_difference(request, too_long, EntityCache())
    with pytest.raises(GapError):
        box.process_updates(types.UpdatesTooLong(), EntityCache(), [])
    box.apply_difference(types.updates.DifferenceTooLong(99), EntityCache())
    assert told == [2001, 0]
    assert box.session_state()[0]["pts"] == 99


async def test_a_catch_up_is_queued_until_telethon_has_seen_it(box):
    box.catch_up_queued = True
    assert box.in_difference()
    with pytest.raises(GapError):
        box.process_updates(types.UpdatesTooLong(), EntityCache(), [])
    assert not box.catch_up_queued
    assert box.in_difference()


async def test_what_telegram_pushes_in_order_is_told_as_pushed_and_what_was_asked_for_is_not(box):
    def push(pts: int, **flags: bool) -> bool:
        update = types.Updates([types.UpdateNewMessage(message(pts), pts, 1)], [], [], DATE, 0)
        for name, value in flags.items():
            setattr(update, name, value)
        box.process_updates(update, EntityCache(), [])
        return box.take_pushed()

    assert push(11)
    assert not push(11), "known already"
    assert not push(14), "a gap: nothing is taken in yet"
    box.possible_gaps.clear()
    assert not push(12, _self_outgoing=True), "the answer to a request of ours"
    box.process_updates(types.UpdateShort(types.UpdateConfig(), DATE), EntityCache(), [])
    assert not box.take_pushed(), "it belongs to no count"
    channel = types.Message(id=1, peer_id=types.PeerChannel(2001), date=DATE, message="hi")
    box.process_updates(types.UpdateShort(types.UpdateNewChannelMessage(channel, 4, 1), DATE), EntityCache(), [])
    assert not box.take_pushed(), "a channel counts by itself"
    with pytest.raises(GapError):
        box.process_updates(types.UpdatesTooLong(), EntityCache(), [])
    box.apply_difference(difference([message(2)], [types.UpdateBotStopped(5, DATE, True, 1)]), EntityCache())
    state, _ = box.session_state()
    assert (state["pts"], state["qts"]) == (20, 1)
    assert not box.take_pushed(), "a difference was asked for"
    assert push(21)

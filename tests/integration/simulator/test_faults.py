"""Each fault of the Telegram simulator does what the docs say, to the calls and accounts it is for, as often as it says."""

import asyncio
from typing import Any

import pytest
from telethon import errors, events, functions, types

from botfleet_simulator.client import AdminError
from tests.waiting import DEADLINE

from .conftest import Bench

STATE = functions.updates.GetStateRequest


async def test_an_error_meets_the_method_and_the_account_that_it_is_for(bench: Bench):
    bot, person = await bench.pair()
    first, second = await bench.client(bot), await bench.client(person)
    await bench.admin.add_fault("error", method="updates.getState", account=bot.id, message="FLOOD_WAIT_77")
    await second(STATE())
    await first.get_me()
    with pytest.raises(errors.FloodWaitError) as caught:
        await first(STATE())
    assert caught.value.seconds == 77
    assert (await bench.admin.calls("updates.getState", bot.id))[-1].outcome == "FLOOD_WAIT_77"
    assert isinstance(await (await bench.client(bot))(STATE()), types.updates.State)


@pytest.mark.parametrize(
    ("message", "error", "code"),
    [
        ("PEER_FLOOD", errors.PeerFloodError, 400),
        ("SLOWMODE_WAIT_9", errors.SlowModeWaitError, 420),
        ("RPC_CALL_FAIL", errors.RpcCallFailError, 500),
        ("CHAT_WRITE_FORBIDDEN", errors.ChatWriteForbiddenError, 403),
    ],
)
async def test_errors_have_telegrams_codes(bench: Bench, message: str, error: type[errors.RPCError], code: int):
    bot, _ = await bench.pair()
    client = await bench.client(bot, request_retries=1, flood_sleep_threshold=0)
    await bench.admin.add_fault("error", method="updates.getState", account=bot.id, message=message)
    with pytest.raises(error) as caught:
        await client._sender.send(STATE())  # the client itself would try again
    assert (caught.value.code or type(caught.value).code) == code


async def test_a_fault_skips_then_meets_so_many_calls_then_is_spent(bench: Bench):
    bot, _ = await bench.pair()
    client = await bench.client(bot)
    fault = await bench.admin.add_fault(
        "error", method="UPDATES.*", account=bot.id, message="PEER_FLOOD", skip=1, times=2
    )
    await client(STATE())
    for _ in range(2):
        with pytest.raises(errors.PeerFloodError):
            await client(STATE())
    await client(STATE())
    fault = await bench.admin.fault(fault.id)
    assert (fault.hits, fault.times_left, fault.spent) == (2, 0, True)


async def test_a_dropped_answer_was_executed_all_the_same(bench: Bench):
    bot, person = await bench.pair()
    client = await bench.client(person)
    peer = await client.get_input_entity(bot.username)
    fault = await bench.admin.add_fault("drop_answer", method="messages.sendMessage", account=person.id, cut=True)
    sending = asyncio.create_task(client(functions.messages.SendMessageRequest(peer, "once", random_id=101)))
    await bench.admin.wait_fault(fault.id)
    await asyncio.wait_for(sending, DEADLINE)
    calls = await bench.admin.calls("messages.sendMessage", person.id)
    assert [(call.outcome, call.random_id) for call in calls] == [("dropped", 101), ("ok", 101)]
    assert [message.text for message in await bench.admin.messages(bot.id, person.id)] == ["once"]


async def test_a_held_answer_comes_when_it_is_released(bench: Bench):
    bot, person = await bench.pair()
    client = await bench.client(person)
    peer = await client.get_input_entity(bot.username)
    fault = await bench.admin.add_fault("hold", method="messages.sendMessage", account=person.id)
    sending = asyncio.create_task(client.send_message(peer, "held"))
    await bench.admin.wait_for_call("messages.sendMessage", account=person.id, outcome="held")
    assert len(await bench.admin.messages(bot.id, person.id)) == 1
    assert not sending.done()
    await bench.admin.release(fault.id)
    assert (await asyncio.wait_for(sending, DEADLINE)).raw_text == "held"


async def test_held_before_execution_nothing_has_happened_yet(bench: Bench):
    bot, person = await bench.pair()
    client = await bench.client(person)
    peer = await client.get_input_entity(bot.username)
    fault = await bench.admin.add_fault("hold", method="messages.sendMessage", account=person.id, before=True)
    sending = asyncio.create_task(client.send_message(peer, "later"))
    await bench.admin.wait_for_call("messages.sendMessage", account=person.id, outcome="held")
    assert await bench.admin.messages(bot.id, person.id) == []
    await bench.admin.remove_fault(fault.id)
    await asyncio.wait_for(sending, DEADLINE)
    assert len(await bench.admin.messages(bot.id, person.id)) == 1


async def test_a_delay_delays_that_call_alone(bench: Bench):
    bot, _ = await bench.pair()
    client = await bench.client(bot)
    await bench.admin.add_fault("delay", method="updates.getState", account=bot.id, delay=0.4)
    loop, order = asyncio.get_running_loop(), []
    begun = loop.time()
    slow, quick = asyncio.create_task(client(STATE())), asyncio.create_task(client.get_me())
    slow.add_done_callback(lambda _: order.append("delayed"))
    quick.add_done_callback(lambda _: order.append("other"))
    await asyncio.gather(slow, quick)
    assert loop.time() - begun >= 0.4
    assert order == ["other", "delayed"]


async def test_a_cut_call_is_not_executed_and_the_client_comes_back(bench: Bench):
    bot, person = await bench.pair()
    client = await bench.client(person)
    peer = await client.get_input_entity(bot.username)
    await bench.admin.add_fault("cut", method="messages.sendMessage", account=person.id)
    await asyncio.wait_for(client.send_message(peer, "in the end"), DEADLINE)
    outcomes = [call.outcome for call in await bench.admin.calls("messages.sendMessage", person.id)]
    assert outcomes == ["cut", "ok"]
    assert [message.text for message in await bench.admin.messages(bot.id, person.id)] == ["in the end"]


async def test_in_silence_calls_are_answered_and_updates_are_not_pushed(bench: Bench):
    bot, person = await bench.pair()
    client, got = await bench.client(bot), asyncio.Queue[Any]()
    client.add_event_handler(got.put, events.NewMessage(incoming=True))
    await client(STATE())
    fault = await bench.admin.add_fault("silence", account=bot.id)
    await bench.admin.send_message(person.id, bot.id, "unheard")
    assert (await client(STATE())).pts == 2
    assert got.empty()
    await bench.admin.remove_fault(fault.id)
    await client.catch_up()
    assert (await asyncio.wait_for(got.get(), DEADLINE)).raw_text == "unheard"


@pytest.mark.parametrize("how", ["setting", "fault"])
async def test_a_repeated_random_id_can_be_answered_with_an_error(bench: Bench, how: str):
    bot, person = await bench.pair()
    client = await bench.client(person)
    request = functions.messages.SendMessageRequest(await client.get_input_entity(bot.username), "x", random_id=5)
    await client(request)
    if how == "setting":
        await bench.admin.update_settings(random_id_repeat="duplicate")
    else:
        await bench.admin.add_fault("random_id_duplicate", account=person.id)
    with pytest.raises(errors.RandomIdDuplicateError):
        await client._sender.send(request)  # the client itself would try for 12 s
    assert len(await bench.admin.messages(bot.id, person.id)) == 1


async def test_a_repeated_random_id_is_answered_with_the_first_result(bench: Bench):
    bot, person = await bench.pair()
    client = await bench.client(person)
    request = functions.messages.SendMessageRequest(await client.get_input_entity(bot.username), "x", random_id=5)
    first, again = await client(request), await client(request)
    assert (first.id, first.pts, first.date) == (again.id, again.pts, again.date)


async def test_a_difference_can_meet_a_flood_wait(bench: Bench):
    bot, _ = await bench.pair()
    client = await bench.client(bot, flood_sleep_threshold=0)
    await bench.admin.add_fault("error", method="updates.getDifference", account=bot.id, message="FLOOD_WAIT_3")
    with pytest.raises(errors.FloodWaitError):
        await client(functions.updates.GetDifferenceRequest(pts=1, date=None, qts=0))


async def test_pts_set_back_is_what_a_restored_server_shows(bench: Bench):
    bot, person = await bench.pair()
    for number in range(3):
        await bench.admin.send_message(person.id, bot.id, f"message {number}")
    client = await bench.client(bot)
    assert (await client(STATE())).pts == 4
    await bench.admin.set_pts(bot.id, 2)
    assert (await client(STATE())).pts == 2
    ahead = await client(functions.updates.GetDifferenceRequest(pts=4, date=None, qts=0))
    assert isinstance(ahead, types.updates.DifferenceEmpty)
    behind = await client(functions.updates.GetDifferenceRequest(pts=1, date=None, qts=0))
    assert [message.message for message in behind.new_messages] == ["message 0"]


async def test_too_long_differences_say_so(bench: Bench):
    bot, person = await bench.pair()
    group = await bench.admin.create_group(
        "Long", kind="supergroup", owner=person.id, members=[bot.id], admins=[bot.id]
    )
    await bench.admin.update_settings(difference_limit=2, channel_difference_limit=2)
    for number in range(4):
        await bench.admin.send_message(person.id, bot.id, f"private {number}")
        await bench.admin.send_message(person.id, group.id, f"group {number}")
    client = await bench.client(bot)
    found = await client(functions.updates.GetDifferenceRequest(pts=1, date=None, qts=0))
    assert isinstance(found, types.updates.DifferenceTooLong)
    assert found.pts == (await bench.admin.state(bot.id)).pts
    channel, empty = types.InputChannel(group.bare_id, 0), types.ChannelMessagesFilterEmpty()
    request = functions.updates.GetChannelDifferenceRequest(channel, empty, pts=1, limit=100)
    found = await client(request)
    assert isinstance(found, types.updates.ChannelDifferenceTooLong)
    assert found.dialog.pts == (await bench.admin.state(bot.id)).channels[group.id]
    assert found.messages[0].message == "group 3"


async def test_a_person_blocks_a_bot_and_takes_it_back(bench: Bench):
    bot, person = await bench.pair()
    await bench.admin.send_message(person.id, bot.id, "/start")
    client = await bench.client(bot)
    peer = types.InputPeerUser(person.id, 0)
    await client.send_message(peer, "one")
    await bench.admin.block(person.id, bot.id)
    with pytest.raises(errors.UserIsBlockedError):
        await client.send_message(peer, "two")
    await bench.admin.unblock(person.id, bot.id)
    await client.send_message(peer, "three")
    got = await bench.admin.messages(person.id, bot.id, incoming=True)
    assert [message.text for message in got] == ["one", "three"]


async def test_slow_mode_and_forbidden_writing_are_for_members_not_admins(bench: Bench):
    bot, person = await bench.pair()
    _, owner = await bench.pair()
    group = await bench.admin.create_group("Slow", kind="supergroup", owner=owner.id, members=[bot.id, person.id])
    await bench.admin.update_chat(group.id, slow_mode_seconds=30)
    client = await bench.client(bot, flood_sleep_threshold=0)
    peer = types.InputPeerChannel(group.bare_id, 0)
    await client.send_message(peer, "one")
    with pytest.raises(errors.SlowModeWaitError):
        await client.send_message(peer, "two")
    await bench.admin.send_message(owner.id, group.id, "owner 1")
    await bench.admin.send_message(owner.id, group.id, "owner 2")
    await bench.admin.update_chat(group.id, slow_mode_seconds=0, write_forbidden=True)
    with pytest.raises(errors.ChatWriteForbiddenError):
        await client.send_message(peer, "three")


async def test_strangers_in_a_group_can_be_shown_with_a_useless_hash(bench: Bench):
    bot, person = await bench.pair()
    group = await bench.admin.create_group("Min", kind="supergroup", owner=person.id, members=[bot.id], admins=[bot.id])
    await bench.admin.update_settings(min_users=True)
    client, got = await bench.client(bot), asyncio.Queue[Any]()
    client.add_event_handler(got.put, events.NewMessage(incoming=True))
    await client(STATE())
    await bench.admin.send_message(person.id, group.id, "who am I?")
    event = await asyncio.wait_for(got.get(), DEADLINE)
    shown = event.message._sender
    assert shown.min
    with pytest.raises(errors.PeerIdInvalidError):
        await client(functions.users.GetFullUserRequest(types.InputUser(person.id, shown.access_hash)))
    peer = types.InputPeerChannel(group.bare_id, 0)
    through = types.InputUserFromMessage(peer, event.id, person.id)
    assert (await client(functions.users.GetFullUserRequest(through))).full_user.id == person.id


async def test_short_updates_can_be_had_always_or_never(bench: Bench):
    bot, person = await bench.pair()
    client, got = await bench.client(bot), asyncio.Queue[Any]()
    client.add_event_handler(got.put, events.NewMessage(incoming=True))
    await client(STATE())
    for short in ("always", False):
        await bench.admin.update_settings(short_updates=short)
        await bench.admin.send_message(person.id, bot.id, f"short: {short}")
        event = await asyncio.wait_for(got.get(), DEADLINE)
        assert event.raw_text == f"short: {short}"
        assert (event.input_chat is None) == (short == "always")


async def test_a_fault_that_does_not_exist_is_refused_by_name(bench: Bench):
    with pytest.raises(AdminError, match="no fault 'explode'"):
        await bench.admin.add_fault("explode")
    with pytest.raises(AdminError, match="no option depth"):
        await bench.admin.add_fault("cut", depth=3)
    with pytest.raises(AdminError, match="no account or chat"):
        await bench.admin.add_fault("cut", account="nobody_here")

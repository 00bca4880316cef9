"""Boxes, logs, rights and who sees what, without a server."""

from pathlib import Path

import pytest
from telethon.tl import types

from botfleet_simulator.telegram.access import Access, access_hash
from botfleet_simulator.telegram.domain import (
    Account,
    Box,
    LogEntry,
    Member,
    Post,
    UpdateLog,
    bare_id,
    is_channel,
    mark_chat,
)
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.messaging import Draft, Messaging
from botfleet_simulator.telegram.storage import Storage
from botfleet_simulator.telegram.world import AbsentError, TakenError, World


@pytest.fixture
def world(tmp_path: Path):
    storage = Storage(tmp_path / "state.sqlite3")
    yield World(storage)
    storage.close()


def people(world: World) -> tuple[Account, Account, Account]:
    bot = world.add_account("bot", "Bot", username="some_bot")
    alice = world.add_account("person", "Alice", phone="+1 (999) 000-01", username="alice")
    bob = world.add_account("person", "Bob", phone="+199900002")
    return bot, alice, bob


def refusal(call) -> str:
    with pytest.raises(RpcError) as caught:
        call()
    return caught.value.message


def test_marked_ids_are_telethons():
    assert mark_chat(5, "basic") == -5
    assert mark_chat(5, "channel") == -1000000000005
    assert [bare_id(peer) for peer in (7, -5, -1000000000005)] == [7, 5, 5]
    assert [is_channel(peer) for peer in (7, -5, -1000000000005)] == [False, False, True]


def test_a_log_answers_from_any_pts_that_it_still_has():
    log = UpdateLog()
    for pts in range(2, 12):
        log.append(LogEntry(pts, 1, "new", pts))
    assert [entry.pts for entry in log.since(9)] == [10, 11]
    log.trim(4)
    assert (log.floor, len(log)) == (7, 4)
    log.cut_after(9)
    assert [entry.pts for entry in log.since(1)] == [8, 9]
    entry = log.of_post(9)
    assert entry is not None
    assert entry.pts == 9
    assert log.of_post(11) is None


def test_a_box_gives_ids_in_order_and_forgets_what_is_dropped():
    box = Box(1)
    posts = [Post(uid, sender_id=2, target=1, date=1) for uid in range(1, 4)]
    assert [box.put(post) for post in posts] == [1, 2, 3]
    assert box.unread(2) == 3
    assert box.drop(2) is posts[1]
    assert box.drop(2) is None
    assert box.dialog(2).ids == [1, 3]
    assert posts[1].copies == {}


def test_names_phones_and_ids_belong_to_one(world: World):
    _, alice, bob = people(world)
    assert world.named("@ALICE") == alice.id
    assert world.of_phone("+199900001") is alice
    for taken in ({"username": "Alice"}, {"phone": "+1-999-000-02"}, {"account_id": bob.id}):
        with pytest.raises(TakenError):
            world.add_account("person", "X", **taken)
    world.rename(alice, "alicia")
    assert world.named("alice") is None
    with pytest.raises(AbsentError):
        world.account(404)


def test_a_token_is_the_bots_own_and_whole(world: World):
    bot, _, _ = people(world)
    assert bot.token is not None
    assert world.of_token(bot.token) is bot
    for wrong in ("", ":", "abc", bot.token[:-1], f"{bot.id + 1}:{bot.token.partition(':')[2]}"):
        assert world.of_token(wrong) is None


def test_sending_gives_both_sides_their_own_ids_and_pts(world: World):
    bot, alice, bob = people(world)
    messaging = Messaging(world)
    messaging.send(alice, bob.id, Draft("first", 1))
    sent = messaging.send(alice, bot.id, Draft("hello", 2))
    assert sent.post.copies == {alice.id: 2, bot.id: 1}
    assert (world.box(alice.id).pts, world.box(bot.id).pts, world.box(bob.id).pts) == (3, 2, 2)
    assert messaging.send(alice, bob.id, Draft("other text", 2)).post is sent.post
    assert refusal(lambda: messaging.send(alice, bob.id, Draft("x", 0))) == "RANDOM_ID_EMPTY"
    assert refusal(lambda: messaging.send(alice, bob.id, Draft("x", 9, reply_to=99))) == "REPLY_MESSAGE_ID_INVALID"


def test_who_may_write_to_whom(world: World):
    bot, alice, bob = people(world)
    other = world.add_account("bot", "Other")
    messaging = Messaging(world)
    assert refusal(lambda: messaging.send(bot, alice.id, Draft("x", 1))) == "PEER_ID_INVALID"
    assert refusal(lambda: messaging.send(bot, other.id, Draft("x", 1))) == "USER_IS_BOT"
    messaging.send(alice, bot.id, Draft("/start", 2))
    messaging.send(bot, alice.id, Draft("welcome", 3))
    alice.blocked.add(bot.id)
    assert refusal(lambda: messaging.send(bot, alice.id, Draft("x", 4))) == "USER_IS_BLOCKED"
    assert refusal(lambda: messaging.send(alice, bot.id, Draft("x", 5))) == "YOU_BLOCKED_USER"
    bob.deactivated = True
    assert refusal(lambda: messaging.send(alice, bob.id, Draft("x", 6))) == "INPUT_USER_DEACTIVATED"


def test_privacy_mode_shows_a_bot_what_is_for_it(world: World):
    bot, alice, bob = people(world)
    chat = world.add_chat("basic", "Group", alice.id)
    for account in (bot, bob):
        chat.members[account.id] = Member(account.id, "member", alice.id, 1)
    messaging = Messaging(world)

    def seen(text: str, number: int, **options) -> bool:
        return bot.id in messaging.send(alice, chat.id, Draft(text, number, **options)).post.copies

    assert not seen("hello all", 1)
    assert seen("/command", 2)
    assert seen("/command@some_bot", 3)
    assert not seen("/command@another_bot", 4)
    assert seen("hi @some_bot", 5)
    bots = messaging.send(bot, chat.id, Draft("me", 6)).post
    assert seen("answer", 7, reply_to=bots.copies[alice.id])
    chat.members[bot.id].role = "admin"
    assert seen("for admins too", 8)
    chat.members[bot.id].role = "member"
    bot.privacy_mode = False
    assert seen("no privacy", 9)


def test_deleting_for_oneself_leaves_the_other_side_alone(world: World):
    bot, alice, _ = people(world)
    messaging = Messaging(world)
    sent = messaging.send(alice, bot.id, Draft("x", 1)).post
    messaging.delete(alice, [sent.copies[alice.id], 99], revoke=False)
    assert set(sent.copies) == {bot.id}
    messaging.delete(bot, [sent.copies[bot.id]], revoke=True)
    assert sent.copies == {}
    assert messaging.send(alice, bot.id, Draft("again", 1)).repeated


def test_access_hashes_are_one_accounts(world: World):
    bot, alice, bob = people(world)
    access = Access(world)
    assert access_hash(alice.id, bot.id) != access_hash(bob.id, bot.id)
    assert access.user(alice, types.InputUser(bot.id, access_hash(alice.id, bot.id))) is bot
    for given in (
        types.InputUser(bot.id, access_hash(bob.id, bot.id)),
        types.InputUser(404, 1),
        types.InputPeerEmpty(),
    ):
        assert refusal(lambda given=given: access.user(alice, given)) == "PEER_ID_INVALID"
    assert refusal(lambda: access.user(bot, types.InputUser(alice.id, 0))) == "PEER_ID_INVALID"
    Messaging(world).send(alice, bot.id, Draft("/start", 1))
    assert access.user(bot, types.InputUser(alice.id, 0)) is alice
    assert access.peer(alice, types.InputPeerSelf()) == alice.id


def test_a_user_can_be_reached_through_a_message_of_his(world: World):
    bot, alice, bob = people(world)
    chat = world.add_chat("supergroup", "Group", alice.id)
    for account in (bot, bob):
        chat.members[account.id] = Member(account.id, "member", alice.id, 1)
    post = Messaging(world).send(bob, chat.id, Draft("here", 1)).post
    peer = types.InputPeerChannel(bare_id(chat.id), access_hash(alice.id, chat.id))
    access = Access(world)
    assert access.user(alice, types.InputPeerUserFromMessage(peer, post.copies[chat.id], bob.id)) is bob
    wrong = types.InputPeerUserFromMessage(peer, post.copies[chat.id], bot.id)
    assert refusal(lambda: access.user(alice, wrong)) == "MSG_ID_INVALID"


def test_a_world_loaded_again_is_the_same(tmp_path: Path):
    storage = Storage(tmp_path / "state.sqlite3")
    world = World(storage)
    bot, alice, bob = people(world)
    messaging = Messaging(world)
    one = messaging.send(alice, bot.id, Draft("hello @some_bot", 1)).post
    messaging.send(bot, alice.id, Draft("hi", 2, reply_to=1))
    messaging.edit(alice, bot.id, one.copies[alice.id], text="edited", entities=None)
    gone = messaging.send(alice, bob.id, Draft("gone", 3)).post
    messaging.delete(alice, [gone.copies[alice.id]], revoke=True)
    messaging.read(bot, alice.id, 0)
    world.rewind(world.box(bob.id), 2)
    storage.close()
    storage = Storage(tmp_path / "state.sqlite3")
    again = World(storage)
    assert again.accounts == world.accounts
    assert again.posts == world.posts
    assert again.started == world.started
    for owner, box in world.boxes.items():
        same = again.box(owner)
        assert (same.pts, same.last_id, same.log.since(0), same.log.floor) == (
            box.pts,
            box.last_id,
            box.log.since(0),
            box.log.floor,
        )
        assert {peer: d.ids for peer, d in same.dialogs.items() if d.ids} == {
            peer: d.ids for peer, d in box.dialogs.items() if d.ids
        }
    assert Messaging(again).send(again.account(alice.id), bot.id, Draft("x", 1)).repeated
    storage.close()

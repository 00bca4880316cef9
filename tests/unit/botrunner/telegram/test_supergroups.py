"""A group that became a supergroup is recognized whatever tells of it, and what is late for it is the supergroup's."""

from datetime import UTC, datetime
from typing import Any

import pytest
from telethon.tl import types

from botfleet.store.rows import Deletion, Edit, Incoming, Intake, OwnMessage, PeerRow, Written, earlier_id
from botrunner.telegram.ids import random_id
from botrunner.telegram.intake import Raw
from botrunner.telegram.news import news_of
from botrunner.telegram.own import own_messages
from botrunner.telegram.supergroups import follow, hashes_of, migrations_of
from botrunner.telegram.types import Me

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GROUP, SUPER = -41, -1000000002001
MOVED = {GROUP: SUPER}


def service(peer: Any, action: Any) -> Any:
    return types.MessageService(id=9, peer_id=peer, date=DATE, action=action)


def group(migrated_to: Any = None) -> Any:
    return types.Chat(
        id=41,
        title="t",
        photo=types.ChatPhotoEmpty(),
        participants_count=2,
        date=DATE,
        version=1,
        migrated_to=migrated_to,
    )


LAST = service(types.PeerChat(41), types.MessageActionChatMigrateTo(2001))
FIRST = service(types.PeerChannel(2001), types.MessageActionChannelMigrateFrom("t", 41))


@pytest.mark.parametrize(
    "raw",
    [
        Raw(messages=[LAST]),
        Raw(messages=[FIRST]),
        Raw(updates=[types.UpdateNewMessage(LAST, 2, 1)]),
        Raw(updates=[types.UpdateNewChannelMessage(FIRST, 2, 1)]),
        Raw(entities=[group(types.InputChannel(2001, 7))]),
    ],
)
def test_each_way_of_telling_it_is_understood(raw: Raw) -> None:
    assert migrations_of(raw) == MOVED


@pytest.mark.parametrize(
    "raw",
    [
        Raw(entities=[group()]),
        Raw(messages=[service(types.PeerChat(41), types.MessageActionChatEditTitle("x"))]),
        Raw(messages=[service(types.PeerUser(5), types.MessageActionChatMigrateTo(2001))]),
        Raw(messages=[types.Message(id=1, peer_id=types.PeerChat(41), date=DATE, message="/migrate")]),
    ],
)
def test_nothing_else_is(raw: Raw) -> None:
    assert migrations_of(raw) == {}


def test_the_group_tells_the_supergroups_hash() -> None:
    raw = Raw(entities=[group(types.InputChannel(2001, 7)), group()])
    assert hashes_of(raw) == [PeerRow(SUPER, 7)]


def test_what_comes_late_for_the_group_is_the_supergroups_under_numbers_that_it_does_not_use() -> None:
    late = Incoming(GROUP, 17, 5, 0, "hi", DATE, "trace", reply_to_message_id=16)
    other = Incoming(5, 17, 5, 9, "hi", DATE, "trace")
    intake = Intake((late, other), (Edit(GROUP, 17, "ho", DATE),), (Deletion(18), Deletion(3, SUPER)))
    found = follow(intake, MOVED)
    first, second = found.messages
    assert (first.peer_id, first.message_id, first.reply_to_message_id) == (SUPER, earlier_id(17), earlier_id(16))
    assert first.access_hash is None
    assert second == other
    assert found.edits == (Edit(SUPER, earlier_id(17), "ho", DATE),)
    assert found.deletions == (Deletion(18), Deletion(3, SUPER), Deletion(earlier_id(18), SUPER))
    assert follow(intake, {}) == intake


def test_earlier_numbers_keep_their_order_and_come_before_all_others() -> None:
    assert earlier_id(1) < earlier_id(2) < earlier_id(2**31) < 0


def test_what_the_account_has_written_is_told_from_what_was_written_to_it() -> None:
    def message(number: int, peer: Any, *, out: bool = True, reply: int | None = None) -> Any:
        header = None if reply is None else types.MessageReplyHeader(reply_to_msg_id=reply)
        return types.Message(id=number, peer_id=peer, date=DATE, message="said", out=out, reply_to=header)

    me, other = types.PeerUser(777), types.PeerUser(5)
    given = [message(1, other), message(2, other, out=False), message(3, me), LAST]
    given.append(message(4, types.PeerChannel(2001), reply=3))
    assert own_messages(given, 777) == (Written(5, 1, "said", DATE), Written(SUPER, 4, "said", DATE, 3))


def test_news_that_makes_no_sense_costs_itself_alone() -> None:
    nobody, nowhere = types.PeerSettings(), types.InputChannel(2**63 - 1, 7)
    wrong = types.Message(id=1, peer_id=nobody, date=DATE, message="said", out=True)
    said = types.Message(id=2, peer_id=types.PeerUser(5), date=DATE, message="said", out=True)
    raw = Raw(
        messages=[service(nobody, LAST.action), wrong, said, LAST],
        updates=[
            types.UpdateNewMessage(service(types.PeerChat(42), types.MessageActionChatMigrateTo(2**63 - 1)), 2, 1)
        ],
        entities=[group(nowhere)],
    )
    kept, news = news_of(raw, Intake(), Me(777, "bot", bot=True), {})
    assert news.migrated == MOVED
    assert news.written == (Written(5, 2, "said", DATE),)
    assert news.hashes == kept.peers == ()


def test_of_what_a_persons_account_has_written_only_what_a_run_is_known_to_have_sent_is_no_typing() -> None:
    """By the random_id, which follows from what was asked; Telegram tells it of some."""
    said = [types.Message(id=n, peer_id=types.PeerUser(5), date=DATE, message="said", out=True) for n in (3, 4)]
    typed = tuple(OwnMessage(5, n, "said", DATE, DATE) for n in (3, 4))
    asked = Incoming(5, 2, 5, 9, "hi", DATE, "trace")
    intake = Intake((asked,), sent=((random_id(777, 5, "reply:2", 0, 0), 3), (99, 4)), own=typed)
    kept, news = news_of(Raw(messages=said), intake, Me(777, "me", bot=False), {})
    assert news.written == (Written(5, 3, "said", DATE),)
    assert kept.own == typed[1:]
    _, all_of_it = news_of(Raw(messages=said), intake, Me(777, "bot", bot=True), {})
    assert [one.message_id for one in all_of_it.written] == [3, 4], "nobody types with a bot's account"

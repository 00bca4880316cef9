"""Every answer of Telegram to a send is an outcome; none is raised, none is retried."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from telethon import errors as telethon_errors
from telethon.errors import rpc_message_to_error
from telethon.tl import functions, types

from botfleet.conditions import Reason
from botfleet.store.rows import OutboxRow, PeerRow
from botrunner.ownership.cutoff import LeaseOverError
from botrunner.telegram.entities import Entities
from botrunner.telegram.sender import (
    AccountLost,
    Refused,
    Sender,
    Sent,
    Unknown,
    Wait,
    message_of,
    sent_message_id,
)
from botrunner.telegram.types import Me

DATE = datetime(2026, 1, 2, tzinfo=UTC)
BOT, PERSON = Me(777, "bot", bot=True), Me(777, "me", bot=False)
CHANNEL = -1000000002001


class Client:
    """Answers as it is told to, in order."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Any] = []
        self.failures: list[BaseException] = []
        self.entities = Entities()
        self.stored: dict[int, int] = {}

    async def stored_hash(self, peer_id: int) -> int | None:
        return self.stored.get(peer_id)

    async def ask(self, request: Any, deadline: float) -> Any:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)


def row(**changes: Any) -> OutboxRow:
    values: dict[str, Any] = {
        "peer_id": 5,
        "position": 1,
        "random_id": 123,
        "cause": "reply:17",
        "part": 0,
        "text": "hello",
        "entities": None,
        "access_hash": 9,
        "reply_to_message_id": None,
        "trace_id": "t",
        "created_at": DATE,
        "state": "attempted",
        "attempted_at": DATE,
        "not_before": None,
        "history_position": 2,
    }
    return OutboxRow(**{**values, **changes})


def says(message: str, code: int = 400) -> Exception:
    return rpc_message_to_error(types.RpcError(code, message), functions.PingRequest(1))


def short(number: int = 55) -> types.UpdateShortSentMessage:
    return types.UpdateShortSentMessage(id=number, pts=1, pts_count=1, date=DATE)


def attached(client: Client, me: Me = BOT) -> Sender:
    sender = Sender()
    sender.attach(client, me)  # type: ignore[arg-type]
    return sender


async def test_the_rows_own_text_peer_and_random_id_are_sent():
    client = Client(short())
    assert await attached(client).send(row(reply_to_message_id=16)) == Sent(55)
    request = client.requests[0]
    assert (request.message, request.random_id, request.peer) == ("hello", 123, types.InputPeerUser(5, 9))
    assert request.reply_to == types.InputReplyToMessage(16)


def test_both_forms_of_an_answer_give_the_id_and_other_ids_in_it_do_not():
    updates = types.Updates([types.UpdateMessageID(8, 999), types.UpdateMessageID(55, 123)], [], [], DATE, 0)
    assert sent_message_id(updates, 123) == 55
    assert sent_message_id(updates, 1) is None
    assert sent_message_id(short(7), 123) == 7


async def test_a_repeated_id_was_sent():
    sender = attached(Client(says("RANDOM_ID_DUPLICATE", 500)))
    assert await sender.send(row()) == Sent(None)
    assert sender.is_answered(123)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (says("FLOOD_WAIT_30", 420), Wait(30, whole_account=True)),
        (says("SLOWMODE_WAIT_10", 420), Wait(10, whole_account=False)),
        (says("USER_IS_BLOCKED", 403), Refused("Blocked", closes_chat=True)),
        (says("INPUT_USER_DEACTIVATED"), Refused("Deactivated", closes_chat=True)),
        (says("CHAT_WRITE_FORBIDDEN", 403), Refused("WriteForbidden", closes_chat=True)),
        (says("TOPIC_CLOSED"), Refused("WriteForbidden", closes_chat=False)),
        (says("TOPIC_DELETED"), Refused("WriteForbidden", closes_chat=False)),
        (says("PEER_ID_INVALID"), Refused("PeerUnknown", closes_chat=True)),
        (says("MESSAGE_TOO_LONG"), Refused("TooLong", closes_chat=False)),
        (says("PEER_FLOOD"), Refused("PeerFlood", closes_chat=False)),
        (says("NEVER_SEEN_BEFORE"), Refused("Refused", closes_chat=False)),
        (says("RPC_CALL_FAIL", 500), Unknown()),
        (says("Timeout", -503), Unknown()),
        (TimeoutError(), Unknown()),
        (ConnectionResetError(), Unknown()),
        (LeaseOverError(), Unknown()),
        (says("AUTH_KEY_UNREGISTERED", 401), Unknown()),
        (says("USER_DEACTIVATED_BAN", 401), AccountLost(Reason.ACCOUNT_BANNED)),
    ],
)
async def test_what_an_error_means_for_a_bots_row(error, outcome):
    sender = attached(Client(error))
    assert await sender.send(row()) == outcome
    assert not sender.is_answered(123)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (says("AUTH_KEY_UNREGISTERED", 401), Reason.SESSION_REVOKED),
        (says("SESSION_REVOKED", 401), Reason.SESSION_REVOKED),
        (says("AUTH_KEY_DUPLICATED", 406), Reason.SESSION_DUPLICATED),
        (telethon_errors.AuthKeyNotFound(), Reason.SESSION_REVOKED),
    ],
)
async def test_a_persons_account_is_lost_with_its_key_and_the_client_is_told(error, reason):
    client = Client(error)
    assert await attached(client, PERSON).send(row()) == AccountLost(reason)
    assert client.failures == [error]


async def test_an_answer_to_a_message_that_is_gone_is_sent_without_pointing_at_it():
    client = Client(says("REPLY_MESSAGE_ID_INVALID"), short())
    assert await attached(client).send(row(reply_to_message_id=16)) == Sent(55)
    assert [request.reply_to for request in client.requests] == [types.InputReplyToMessage(16), None]
    assert {request.random_id for request in client.requests} == {123}


async def test_the_formatting_of_a_row_is_sent_with_its_text():
    client = Client(short())
    stored = [
        {"type": "blockquote", "offset": 0, "length": 5},
        {"type": "text_link", "offset": 0, "length": 1, "url": "https://a.example"},
        {"type": "bold", "offset": 1, "length": 1},
        {"type": "italic", "offset": 1, "length": 1},
        {"type": "strikethrough", "offset": 1, "length": 1},
        {"type": "code", "offset": 2, "length": 1},
        {"type": "pre", "offset": 3, "length": 1, "language": "python"},
        {"type": "pre", "offset": 4, "length": 1},
        {"type": "of a later program", "offset": 0, "length": 5},
        {"type": "bold", "offset": None},
        {},
    ]
    await attached(client).send(row(entities=stored))
    assert client.requests[0].entities == [
        types.MessageEntityBlockquote(0, 5),
        types.MessageEntityTextUrl(0, 1, "https://a.example"),
        types.MessageEntityBold(1, 1),
        types.MessageEntityItalic(1, 1),
        types.MessageEntityStrike(1, 1),
        types.MessageEntityCode(2, 1),
        types.MessageEntityPre(3, 1, "python"),
        types.MessageEntityPre(4, 1, ""),
    ]


async def test_a_text_whose_formatting_is_refused_is_sent_as_it_is_under_its_own_id():
    client = Client(says("ENTITY_BOUNDS_INVALID"), short())
    assert await attached(client).send(row(entities=[{"type": "bold", "offset": 0, "length": 99}])) == Sent(55)
    assert [request.entities for request in client.requests] == [[types.MessageEntityBold(0, 99)], None]
    assert {(request.message, request.random_id) for request in client.requests} == {("hello", 123)}


async def test_a_text_that_is_refused_without_formatting_is_not_sent_for_ever():
    client = Client(says("ENTITY_BOUNDS_INVALID"))
    assert await attached(client).send(row()) == Refused("Refused", closes_chat=False)


async def test_a_row_without_a_hash_takes_the_one_that_is_known_by_now():
    client = Client(short())
    client.entities = Entities([PeerRow(5, 9)])
    await attached(client, PERSON).send(row(access_hash=None))
    assert client.requests[0].peer == types.InputPeerUser(5, 9)


async def test_a_bot_needs_no_hash():
    client = Client(short())
    await attached(client).send(row(access_hash=None))
    assert client.requests[0].peer == types.InputPeerUser(5, 0)


async def test_a_person_who_wrote_in_short_form_is_asked_for_with_the_message():
    client = Client(SimpleNamespace(users=[types.User(id=5, access_hash=9)], chats=[]), short())
    assert await attached(client, PERSON).send(row(access_hash=None)) == Sent(55)
    assert client.requests[0].id == [types.InputMessageID(17)]
    assert client.requests[1].peer == types.InputPeerUser(5, 9)


async def test_a_person_of_whom_nothing_is_known_cannot_be_written_to():
    assert await attached(Client(), PERSON).send(row(access_hash=None, cause="starter")) == Refused(
        "PeerUnknown", closes_chat=False
    )


def test_the_cause_names_its_message():
    assert message_of("reply:17") == 17
    assert message_of("starter") is None


async def test_a_send_waits_for_the_connection_and_then_gives_up():
    sender = Sender()
    assert await sender.send(row(), deadline=0.01) == Unknown()
    waiting = asyncio.create_task(sender.send(row(), deadline=2))
    await asyncio.sleep(0)
    sender.attach(Client(short()), BOT)  # type: ignore[arg-type]
    await sender.wait_connected()
    assert await waiting == Sent(55)
    sender.detach()
    assert await sender.send(row(), deadline=0.01) == Unknown()


async def test_only_the_last_thousand_answers_are_remembered():
    sender = Sender()
    for number in range(1, 1002):
        sender.attach(Client(short()), BOT)  # type: ignore[arg-type]
        await sender.send(row(random_id=number))
    assert not sender.is_answered(1)
    assert sender.is_answered(2)
    assert sender.is_answered(1001)


async def test_typing_and_reading_are_best_effort():
    client = Client(True, says("CHANNEL_PRIVATE"), TimeoutError(), LeaseOverError(), telethon_errors.AuthKeyNotFound())
    sender = attached(client, PERSON)
    await sender.mark_read(5, 9, 17)
    await sender.mark_read(CHANNEL, 9, 17)
    for _ in range(3):
        await sender.typing(CHANNEL, 9)
    assert [type(request).__name__ for request in client.requests] == [
        "ReadHistoryRequest",
        "ReadHistoryRequest",
        *["SetTypingRequest"] * 3,
    ]
    assert client.failures == [], "what it means for the account is found out by a send"


async def test_typing_names_the_topic_in_which_the_answer_will_stand():
    client = Client(True, True)
    sender = attached(client, PERSON)
    await sender.typing(CHANNEL, 9, 4)
    await sender.typing(CHANNEL, 9)
    assert [request.top_msg_id for request in client.requests] == [4, None]


async def test_while_telegram_wants_it_there_is_no_typing_and_no_reading_but_there_are_answers():
    client = Client(says("FLOOD_WAIT_30", 420), short())
    sender = attached(client, PERSON)
    await sender.typing(5, 9)
    await sender.typing(5, 9)
    await sender.mark_read(5, 9, 17)
    assert await sender.send(row()) == Sent(55)
    assert len(client.requests) == 2


async def test_bots_cannot_mark_as_read_and_nobody_can_without_a_connection():
    client = Client()
    await attached(client).mark_read(5, 9, 17)
    await Sender().typing(5, 9)
    assert client.requests == []


async def test_somebody_whom_the_memory_has_let_go_is_found_in_the_store():
    client = Client(types.UpdateShortSentMessage(out=True, id=7, pts=1, pts_count=1, date=None))
    client.stored[5] = 99
    assert await attached(client, Me(8, "aigul", bot=False)).send(row(access_hash=None)) == Sent(7)
    assert client.requests[0].peer == types.InputPeerUser(5, 99)


async def test_a_connection_that_is_lost_again_before_the_send_leaves_it_unknown():
    sender = attached(Client())
    sender._client = None  # detached between the wait and our turn
    assert await sender.send(row()) == Unknown()


async def test_a_message_in_a_topic_names_it_whether_it_answers_one_of_its_messages_or_none():
    client = Client(short(), short(), short())
    sender = attached(client)
    await sender.send(row(reply_to_message_id=16, topic_id=4))
    await sender.send(row(topic_id=4))
    await sender.send(row(reply_to_message_id=4, topic_id=4))
    assert [request.reply_to for request in client.requests] == [
        types.InputReplyToMessage(16, top_msg_id=4),
        types.InputReplyToMessage(4),
        types.InputReplyToMessage(4),
    ]


async def test_an_answer_whose_question_is_gone_stays_in_its_topic_while_that_is_there():
    gone = says("REPLY_MESSAGE_ID_INVALID")
    client = Client(gone, gone, short())
    assert await attached(client).send(row(reply_to_message_id=16, topic_id=4)) == Sent(55)
    assert [request.reply_to for request in client.requests] == [
        types.InputReplyToMessage(16, top_msg_id=4),
        types.InputReplyToMessage(4),
        None,
    ]

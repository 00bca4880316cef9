"""What Telegram's errors mean for us."""

import pytest
from telethon import errors as telethon_errors
from telethon.errors import rpc_message_to_error
from telethon.tl.functions.messages import SendMessageRequest
from telethon.tl.types import InputPeerSelf, RpcError

from botfleet.conditions import Reason
from botrunner.telegram import errors


def telegram_says(code: int, message: str) -> Exception:
    return rpc_message_to_error(RpcError(code, message), SendMessageRequest(InputPeerSelf(), "secret", 1))


@pytest.mark.parametrize(
    ("code", "message", "name"),
    [
        (420, "FLOOD_WAIT_17", "FLOOD_WAIT"),
        (420, "SLOWMODE_WAIT_9", "SLOWMODE_WAIT"),
        (500, "RANDOM_ID_DUPLICATE", "RANDOM_ID_DUPLICATE"),
        (500, "INTERDC_2_CALL_ERROR", "INTERDC_CALL_ERROR"),
        (401, "AUTH_KEY_UNREGISTERED", "AUTH_KEY_UNREGISTERED"),
        (400, "SOMETHING_NEW_HERE", "SOMETHING_NEW_HERE"),
        (400, "prose, perhaps with a name", "RPC_ERROR_400"),
        (-503, "Timeout", "TIMEOUT"),
    ],
)
def test_an_error_has_the_name_that_telegram_gives_it_and_never_its_prose(code, message, name):
    assert errors.wire_name(telegram_says(code, message)) == name


def test_a_key_that_the_server_does_not_know_has_a_name_of_ours():
    assert errors.wire_name(telethon_errors.AuthKeyNotFound()) == errors.TRANSPORT_KEY_UNKNOWN


def test_flood_and_slow_mode_say_how_long_and_nothing_else_does():
    assert errors.wait_seconds(telegram_says(420, "FLOOD_WAIT_17")) == 17
    assert errors.wait_seconds(telegram_says(420, "FLOOD_WAIT_0")) == 1
    assert errors.wait_seconds(telegram_says(420, "SLOWMODE_WAIT_9")) == 9
    assert errors.wait_seconds(telegram_says(500, "RPC_CALL_FAIL")) == 0
    assert errors.wait_seconds(TimeoutError()) == 0


@pytest.mark.parametrize(
    "error",
    [
        telegram_says(500, "RPC_CALL_FAIL"),
        telegram_says(500, "INTERDC_2_CALL_ERROR"),
        telegram_says(-503, "Timeout"),
        telegram_says(-500, "No workers running"),
        ConnectionResetError(),
        TimeoutError(),
        EOFError(),
        telethon_errors.BadMessageError(None, 20),
    ],
)
def test_troubles_of_servers_and_networks_pass(error):
    assert errors.is_passing(error)


@pytest.mark.parametrize("message", ["PEER_ID_INVALID", "USER_IS_BLOCKED", "MESSAGE_TOO_LONG"])
def test_what_is_wrong_with_the_request_does_not_pass(message):
    assert not errors.is_passing(telegram_says(400, message))


def test_each_error_has_one_meaning():
    tables = [
        set(errors.CHAT_REFUSALS),
        set(errors.ACCOUNT_LOST),
        set(errors.LOGIN_REFUSED),
        set(errors.ALREADY_SENT),
        set(errors.REPLY_GONE),
        set(errors.WAIT_ACCOUNT),
        set(errors.WAIT_CHAT),
        set(errors.PASSING),
    ]
    assert sum(len(table) for table in tables) == len(set().union(*tables))


def test_reasons_fit_into_their_column():
    assert all(len(reason) <= 32 for reason in errors.SendReason)


def test_a_ban_does_not_make_a_bot_discard_its_key():
    assert "USER_DEACTIVATED_BAN" not in errors.KEY_IS_DEAD
    assert "AUTH_KEY_DUPLICATED" in errors.KEY_IS_DEAD
    assert errors.ACCOUNT_LOST["AUTH_KEY_DUPLICATED"] is Reason.SESSION_DUPLICATED

"""Texts as Telegram takes them: limits in UTF-16 units, trimming, entities checked and found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telethon.tl import types

from botfleet_simulator.telegram import text as texts
from botfleet_simulator.telegram.errors import RpcError, code_of


def refused(*arguments) -> str:
    with pytest.raises(RpcError) as caught:
        texts.clean(*arguments)
    return caught.value.message


@given(st.text())
def test_length_is_counted_in_utf16_units(text: str):
    assert texts.utf16_length(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_limits():
    assert texts.clean("x" * 4096, None)[0] == "x" * 4096
    assert refused("x" * 4097, None) == "MESSAGE_TOO_LONG"
    assert refused("😀" * 2049, None) == "MESSAGE_TOO_LONG"
    for empty in (None, "", "  \n "):
        assert refused(empty, None) == "MESSAGE_EMPTY"


def test_the_end_is_trimmed_and_entities_with_it():
    kept, entities = texts.clean("bold  ", [types.MessageEntityBold(0, 6), types.MessageEntityItalic(5, 1)])
    assert kept == "bold"
    assert [(type(e), e.offset, e.length) for e in entities] == [(types.MessageEntityBold, 0, 4)]


@pytest.mark.parametrize(("offset", "length"), [(-1, 2), (0, 0), (3, 3), (5, 1)])
def test_entities_out_of_bounds_are_refused(offset: int, length: int):
    assert refused("abcde", [types.MessageEntityBold(offset, length)]) == "ENTITY_BOUNDS_INVALID"


def test_commands_mentions_links_and_tags_are_found_at_their_utf16_places():
    text = "😀 /start@some_bot hi @alice see https://example.org/a?b=1. #tag mail a@b.org"
    _, entities = texts.clean(text, None)
    raw = text.encode("utf-16-le")
    found = {type(e).__name__: raw[e.offset * 2 : (e.offset + e.length) * 2].decode("utf-16-le") for e in entities}
    assert found == {
        "MessageEntityBotCommand": "/start@some_bot",
        "MessageEntityMention": "@alice",
        "MessageEntityUrl": "https://example.org/a?b=1",
        "MessageEntityHashtag": "#tag",
        "MessageEntityEmail": "a@b.org",
    }
    assert texts.names_in(text, entities) == {"some_bot", "alice"}


def test_what_is_marked_already_is_not_marked_again():
    _, entities = texts.clean("see @alice", [types.MessageEntityCode(4, 6)])
    assert [type(e) for e in entities] == [types.MessageEntityCode]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("FLOOD_WAIT_3", 420),
        ("SLOWMODE_WAIT_3", 420),
        ("AUTH_KEY_DUPLICATED", 406),
        ("SESSION_REVOKED", 401),
        ("USER_IS_BLOCKED", 400),
        ("RPC_CALL_FAIL", 500),
        ("INTERNAL", 500),
        ("SOMETHING_NEW", 400),
    ],
)
def test_codes_are_telegrams(message: str, code: int):
    assert code_of(message) == code

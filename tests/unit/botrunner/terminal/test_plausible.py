"""Promises about credentials: what cannot be right is told by its form, and nothing of it is shown."""

import base64
import struct

import pytest
from telethon.crypto import AuthKey
from telethon.sessions import StringSession

from botrunner.terminal import plausible

TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx"


def made(address: str = "149.154.167.51", key: bytes = b"\x07" * 256) -> str:
    session = StringSession()
    session.set_dc(2, address, 443)
    session.auth_key = AuthKey(key)
    return str(session.save())


@pytest.mark.parametrize("address", ["149.154.167.51", "2001:67c:4e8:f002::a"])
def test_a_session_that_telethon_saves_is_plausible(address: str) -> None:
    assert plausible.session(made(address)) is None


def test_each_cut_of_a_session_is_told_as_cut_off() -> None:
    whole = made()
    for length in range(1, len(whole)):
        told = plausible.session(whole[:length])
        assert told is not None
        assert "cut off" in told
        with pytest.raises((ValueError, struct.error, IndexError)):
            StringSession(whole[:length])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "is empty"),
        (TOKEN, "is a bot token"),
        ("SQLite format 3\x00", "is a session file"),
        (made()[:100] + "\n" + made()[100:], "over several lines"),
        ("BQ" + made(), "no StringSession of Telethon"),
        (made() + "A" * 40, "too long"),
        ("1" + "!" * 352, "characters that no session has"),
        ("1" + base64.urlsafe_b64encode(b"\x02" * 7 + bytes(256)).decode(), "holds no key"),
    ],
)
def test_what_is_no_session_is_told_with_what_to_do(value: str, told: str) -> None:
    said = plausible.session(value)
    assert said is not None
    assert told in said


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "looks like 123456789"),
        ("AAHdqTcvCH", "looks like 123456789"),
        (TOKEN[:20], "is cut off"),
        (TOKEN + " and words", "characters after the colon that no token has"),
        (made(), "is a session"),
    ],
)
def test_what_is_no_token_is_told_with_what_to_do(value: str, told: str) -> None:
    said = plausible.bot_token(value)
    assert said is not None
    assert told in said
    assert not value or value not in said
    assert plausible.bot_token(TOKEN) is None


def test_a_simulators_token_may_be_short() -> None:
    assert plausible.bot_token("5000001:AA1", of_telegram=False) is None


@pytest.mark.parametrize(
    ("value", "good"),
    [("12345", True), ("", False), ("0", False), ("twelve", False), ("٣", False), ("9" * 5000, False)],
)
def test_an_api_id_is_a_number(value: str, good: bool) -> None:
    assert (plausible.api_id(value) is None) is good


@pytest.mark.parametrize(("value", "good"), [("0123456789abcdef" * 2, True), ("abc", False), ("g" * 32, False)])
def test_an_api_hash_is_32_digits(value: str, good: bool) -> None:
    assert (plausible.api_hash(value) is None) is good


@pytest.mark.parametrize(("value", "good"), [("sk-x", True), ("", False), ("sk x", False), ("schlüssel", False)])
def test_a_models_key_is_one_word(value: str, good: bool) -> None:
    assert (plausible.model_key(value) is None) is good


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("https://api.openai.com/v1", None),
        ("http://127.0.0.1:8080/v1/", None),
        ("https:///v1", "names no host"),
        ("https://a b/v1", "names no host"),
        ("https://h:port/v1", "is no URL"),
        ("https://user:planted@h/v1", "no user and no password"),
        ("https://h/v1/chat/completions", "must end before"),
        ("https://h/v1?key=planted", "neither ? nor #"),
    ],
)
def test_an_address_of_a_model_that_cannot_work_is_told(value: str, told: str | None) -> None:
    said = plausible.base_url(value)
    assert said is None if told is None else told in (said or "")
    assert "planted" not in (said or "")


def test_a_key_over_an_open_network_is_noticed() -> None:
    assert plausible.shows_the_key("http://llm.example/v1")
    assert not plausible.shows_the_key("https://llm.example/v1")
    assert not plausible.shows_the_key("http://localhost:11434/v1")


def test_a_public_key_is_an_rsa_key_in_pem() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = rsa.generate_private_key(65537, 2048).public_key()
    assert plausible.public_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()) is None
    assert plausible.public_key("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----") is not None

"""Credentials never show themselves."""

import pytest

from botrunner.telegram.types import ApiCredentials, BotToken, Server, TryAgainError, UserSession

SECRET = "verysecret"


@pytest.mark.parametrize(
    "holder",
    [
        ApiCredentials(1, SECRET),
        BotToken(f"123456:{SECRET}"),
        UserSession(SECRET),
        Server(2, "host", 443, SECRET),
    ],
)
def test_a_repr_holds_no_secret(holder):
    assert SECRET not in repr(holder)


def test_a_tokens_account_is_the_number_that_it_begins_with():
    assert BotToken("123456:abcdefghij").account_id == 123456
    assert BotToken("123456:abcdefghij").account_key == "bot:123456"
    with pytest.raises(ValueError, match="BotFather"):
        _ = BotToken("abc").account_id


def test_a_session_is_bound_by_its_digest_and_white_space_round_it_does_not_count():
    session = UserSession("1abc\n")
    assert session.account_key == f"session:{UserSession('1abc').digest}"


def test_to_try_again_says_when():
    assert str(TryAgainError(12.4, "FLOOD_WAIT")) == "FLOOD_WAIT: again in 12 s"

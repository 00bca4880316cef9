"""Promises of derived keys and of sealing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botfleet.digest import bot_account_id, credential_digest
from botfleet.keys import Purpose, Sealer, UnsealError, derive, new_installation_key, password

KEY = bytes(range(32))


def test_the_same_installation_bot_purpose_and_generation_give_the_same_key_and_any_other_another() -> None:
    base = derive(KEY, "b1", Purpose.DATABASE_PASSWORD, 1)
    assert base == derive(KEY, "b1", Purpose.DATABASE_PASSWORD, 1)
    others = {
        derive(KEY, "b2", Purpose.DATABASE_PASSWORD, 1),
        derive(KEY, "b1", Purpose.REDIS_PASSWORD, 1),
        derive(KEY, "b1", Purpose.DATABASE_PASSWORD, 2),
        derive(new_installation_key(), "b1", Purpose.DATABASE_PASSWORD, 1),
    }
    assert len(others | {base}) == 5


def test_a_derivation_never_changes_between_releases() -> None:
    assert password(KEY, "bot", Purpose.SESSION_KEY, 1) == "yUz_UhJlR42VeQA3oM8V8_14_8WM1sK8hT5nxNREWGo"


def test_a_short_installation_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        derive(b"short", "b", Purpose.SESSION_KEY, 1)


@given(st.binary(max_size=600))
def test_what_is_sealed_opens_only_with_its_key_and_in_its_place(plain: bytes) -> None:
    box = Sealer(KEY).seal(plain, "bot/1")
    assert Sealer(KEY).open(box, "bot/1") == plain
    for sealer, context, content in (
        (Sealer(KEY), "bot/2", box),
        (Sealer(KEY[::-1]), "bot/1", box),
        (Sealer(KEY), "bot/1", box[:-1]),
    ):
        with pytest.raises(UnsealError):
            sealer.open(content, context)


def test_a_token_names_its_account_and_nothing_else_is_taken_for_a_token() -> None:
    assert bot_account_id(" 123456:AAxyz\n") == 123456
    for wrong in ("", "123456", "x:y", "123456:", "٣:x", "1" * 30 + ":x"):
        with pytest.raises(ValueError, match="BotFather") as error:
            bot_account_id(wrong)
        assert str(error.value).startswith("a bot token looks like")


def test_white_space_round_a_credential_does_not_change_its_digest() -> None:
    assert credential_digest("abc\n") == credential_digest("abc") != credential_digest("abd")

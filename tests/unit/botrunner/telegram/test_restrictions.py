"""What Telegram forbids the account is told while it lasts, with its time where there is one, and no longer."""

from datetime import UTC, datetime, timedelta

from telethon.tl import types

from botfleet.conditions import Reason
from botrunner.telegram.restrictions import PEER_FLOOD_LASTS, Restriction, Restrictions
from botrunner.telegram.standing import Standing, standing

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FREE = Restriction()


def after(**time: float) -> datetime:
    return NOW + timedelta(**time)


def test_a_flood_wait_is_told_with_its_time_and_no_longer_than_that() -> None:
    known = Restrictions()
    known.waits(after(seconds=30), NOW)
    assert known.at(after(seconds=29)) == Restriction(Reason.FLOOD_WAIT, after(seconds=30))
    known.waits(after(seconds=20), NOW)
    assert known.at(NOW).until == after(seconds=30), "the longer of two"
    assert known.at(after(seconds=30)) == FREE


def test_a_wait_that_is_over_at_once_or_was_over_before_is_not_told() -> None:
    known = Restrictions()
    known.waits(after(seconds=1), NOW)
    known.waits(after(hours=-1), NOW)
    known.waits(datetime.min.replace(tzinfo=UTC), NOW)
    assert known.at(NOW) == FREE


def test_a_clock_that_is_set_back_makes_no_hours_of_a_short_wait() -> None:
    known = Restrictions()
    known.waits(after(seconds=30), NOW)
    assert known.at(after(hours=-10)) == FREE
    known.waits(after(hours=-10, seconds=20), after(hours=-10))
    assert known.at(after(hours=-10, seconds=19)) == Restriction(Reason.FLOOD_WAIT, after(hours=-10, seconds=20))
    assert known.at(after(hours=-10, seconds=20)) == FREE


def test_peer_flood_is_over_with_a_message_that_goes_out_an_hour_later() -> None:
    known = Restrictions()
    known.peer_flood(NOW)
    known.sent(after(minutes=59))
    assert known.at(after(hours=9)).reason is Reason.PEER_FLOOD
    known.sent(NOW + PEER_FLOOD_LASTS)
    assert known.at(after(hours=9)) == FREE


def test_what_lasts_longest_is_told_first() -> None:
    known = Restrictions()
    known.peer_flood(NOW)
    known.waits(after(seconds=30), NOW)
    known.restricted(True)
    assert known.at(NOW).reason is Reason.RESTRICTED
    known.restricted(False)
    assert known.at(NOW).reason is Reason.FLOOD_WAIT
    assert known.at(after(seconds=30)).reason is Reason.PEER_FLOOD


def test_privacy_mode_is_what_telegram_says_of_a_bot_and_people_have_none() -> None:
    assert standing(types.User(id=1, bot=True)) == Standing(privacy_mode=True, restricted=False)
    assert standing(types.User(id=1, bot=True, bot_chat_history=True)) == Standing(privacy_mode=False, restricted=False)
    assert standing(types.User(id=1, restricted=True)) == Standing(privacy_mode=None, restricted=True)

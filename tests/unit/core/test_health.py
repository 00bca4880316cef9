"""What a runner may say of itself: bounded, so that nothing of a bot's can stop whoever reads it."""

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from botfleet.conditions import Reason
from botfleet.health import Health, Spent


@pytest.mark.parametrize(
    "told",
    [
        {"account_id": 10**30},
        {"account_id": 0},
        {"account_id": -5},
        {"last_reply_at": "0001-01-01T00:00:00+14:00"},
        {"last_reply_at": "9999-12-31T23:59:59-12:00"},
        {"last_reply_at": "2026-01-01T00:00:00"},
        {"username": "x" * 65},
        {"spec_digest": "x" * 65},
        {"reason": "words of its own"},
        {"receiving": "words of its own"},
        {"model": 7},
        {"restricted_until": "9999-12-31T23:59:59-12:00"},
        {"pending": -1},
        {"pending": 2**31},
        {"spent": {"day": "2026-01-02", "tokens": -1, "micros": 0, "rung": None}},
        {"spent": {"day": "2026-01-02", "tokens": 2**63, "micros": 0, "rung": None}},
        {"spent": {"day": "words of its own", "tokens": 0, "micros": 0, "rung": None}},
    ],
)
def test_what_is_out_of_bounds_is_not_understood(told: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Health.model_validate({"spec_digest": "a", **told})


def test_what_a_runner_without_a_word_about_receiving_wrote_is_still_read() -> None:
    written = {"spec_digest": "a", "version": "0.0.9", "connected": True, "authorized": True, "reason": None}
    told = Health.model_validate(written)
    assert (told.ready, told.receiving) == (True, None)
    assert Health.model_validate({**written, "receiving": False, "reason": "Deaf"}).receiving is False


def test_the_time_of_a_reply_is_in_utc() -> None:
    told = Health.model_validate({"spec_digest": "a", "last_reply_at": "2026-01-01T02:00:00+02:00"})
    assert told.last_reply_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert told.last_reply_at.tzinfo is UTC


def test_a_word_of_a_newer_runner_is_not_known_and_the_rest_is_read() -> None:
    told = Health.model_validate(
        {"spec_digest": "a", "connected": True, "model": "OfNextYear", "restriction": "PeerFlood"}
    )
    assert (told.connected, told.model, told.restriction) == (True, None, Reason.PEER_FLOOD)


def test_what_is_written_is_read_as_the_same() -> None:
    cost = Spent(day=date(2026, 1, 2), tokens=5, micros=7, rung=Reason.BUDGET_WARNING)
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    told = Health(
        spec_digest="a", model=Reason.TIMEOUT, restriction=Reason.FLOOD_WAIT, restricted_until=moment, spent=cost,
        pending=3, last_message_at=moment, privacy_mode=True,
    )  # fmt: skip
    assert Health.model_validate(told.model_dump(mode="json")) == told

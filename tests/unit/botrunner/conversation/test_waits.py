"""Promises of a wait that Telegram has named: by seconds that nobody sets, and from a former run for an hour at most."""

from datetime import UTC, datetime, timedelta

from botfleet.store.rows import OutboxRow
from botfleet.store.tables import OutboxState
from botrunner.conversation.waits import BELIEVED, Waits

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOURS = timedelta(hours=10)


class Clocks:
    """A clock on the wall, which is set, and one that only goes on."""

    def __init__(self) -> None:
        self.wall, self.seconds = NOON, 0.0

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


def waits_of(clocks: Clocks) -> Waits:
    return Waits(lambda: clocks.wall, lambda: clocks.seconds)


def row(peer_id: int = 5, not_before: datetime | None = None) -> OutboxRow:
    return OutboxRow(
        peer_id=peer_id,
        position=1,
        random_id=1,
        cause="reply:1",
        part=0,
        text="one",
        entities=None,
        access_hash=None,
        reply_to_message_id=None,
        trace_id="t",
        created_at=NOON,
        state=OutboxState.PENDING,
        attempted_at=None,
        not_before=not_before,
        history_position=None,
    )


def test_a_wait_is_over_when_its_seconds_are_however_the_clock_is_set_meanwhile() -> None:
    for turn in (-HOURS, HOURS):
        clocks = Clocks()
        waits = waits_of(clocks)
        until = waits.chat(5, 20)
        assert until == waits.account(20) == NOON + timedelta(seconds=20)
        clocks.wall += turn
        clocks.pass_by(19)
        assert (waits.left(row(5, until)), waits.left(row(6))) == (1, 1)
        clocks.pass_by(1)
        assert (waits.left(row(5, until)), waits.left(row(6))) == (0, 0)


def test_a_shorter_wait_of_the_account_ends_no_longer_one_and_a_clock_set_back_keeps_no_old_one() -> None:
    clocks = Clocks()
    waits = waits_of(clocks)
    waits.account(30)
    assert waits.account(10) == NOON + timedelta(seconds=30)
    clocks.wall -= HOURS
    clocks.pass_by(30)
    assert waits.account(10) == clocks.wall + timedelta(seconds=10)


def test_a_chats_wait_is_that_chats_alone() -> None:
    waits = waits_of(Clocks())
    waits.chat(5, 20)
    assert waits.left(row(6)) == 0


def test_what_a_former_run_left_is_believed_for_an_hour_at_most() -> None:
    clocks = Clocks()
    waits = waits_of(clocks)
    assert waits.recall(NOON + HOURS) == NOON + BELIEVED
    assert waits.left(row(5)) == waits.left(row(6, NOON + HOURS)) == BELIEVED.total_seconds()
    clocks.pass_by(BELIEVED.total_seconds())
    assert waits.left(row(5)) == waits.left(row(6, NOON + HOURS)) == 0


def test_what_a_former_run_left_is_believed_as_it_stands_within_that_hour() -> None:
    clocks = Clocks()
    waits = waits_of(clocks)
    until = NOON + timedelta(minutes=5)
    assert (waits.recalled, waits.recall(until), waits.recalled) == (False, until, True)
    assert waits.left(row(5)) == 300
    assert waits_of(clocks).recall(None) is None
    assert waits_of(clocks).left(row(5, NOON - HOURS)) <= 0


def test_nothing_is_kept_of_a_chat_to_which_nothing_is_to_be_sent() -> None:
    waits = waits_of(Clocks())
    waits.chat(5, 20)
    waits.forget(5)
    waits.forget(6)
    assert waits._chats == {}

"""The fault list decides and counts; the recorder numbers, bounds and wakes."""

import asyncio
from dataclasses import dataclass

import pytest

from botfleet_simulator.faults import FaultBook, UnknownEffectError, UnknownFaultError
from botfleet_simulator.recorder import Pulse, Recorder

EFFECTS = {"error": frozenset({"message"}), "cut": frozenset()}


@pytest.fixture
def book() -> FaultBook:
    return FaultBook(EFFECTS)


def test_the_first_rule_that_fits_is_taken(book: FaultBook):
    book.add("cut", match={"method": "updates.*"})
    second = book.add("error", match={"method": "*", "account": "7"}, times=None)
    assert book.take("error", "cut", method="messages.sendmessage", account="7") is second
    assert book.take("error", "cut", method="messages.sendmessage", account="8") is None
    first = book.take("error", "cut", method="updates.getstate", account="8")
    assert first is not None
    assert first.effect == "cut"
    assert book.take("cut", method="updates.getstate", account="8") is None


def test_methods_fit_in_any_case(book: FaultBook):
    book.add("cut", match={"method": "messages.sendMessage"})
    assert book.take("cut", method="MESSAGES.SENDMESSAGE") is not None


def test_skip_and_times_are_counted(book: FaultBook):
    rule = book.add("cut", match={}, times=2, skip=1)
    assert [book.take("cut") is not None for _ in range(5)] == [False, True, True, False, False]
    assert (rule.hits, rule.times_left, rule.spent()) == (2, 0, True)
    assert "cut" not in book.live


def test_a_rule_ends_by_itself(book: FaultBook, monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr("botfleet_simulator.faults.time.monotonic", lambda: now[0])
    book.add("cut", match={}, times=None, seconds=5)
    assert book.take("cut") is not None
    now[0] = 105.0
    assert book.take("cut") is None


def test_unknown_effects_options_and_ids_are_named(book: FaultBook):
    with pytest.raises(UnknownEffectError, match="there are: cut, error"):
        book.add("melt", match={})
    with pytest.raises(UnknownEffectError, match="it has: message"):
        book.add("error", match={}, options={"massage": 1})
    with pytest.raises(UnknownFaultError):
        book.get(9)


def test_releasing_and_removing_let_go(book: FaultBook):
    first, second = book.add("cut", match={}), book.add("cut", match={}, times=None)
    book.release(first.id)
    assert first.released.is_set()
    assert first.spent()
    book.clear()
    assert second.released.is_set()
    assert book.all() == []


@dataclass
class Item:
    seq: int


def recorder(count: int, size: int = 10) -> Recorder[Item]:
    made: Recorder[Item] = Recorder(size)
    for _ in range(count):
        made.add(Item(made.next_seq()))
    return made


def test_a_recorder_keeps_the_newest_and_numbers_without_gaps():
    kept = recorder(25)
    assert [item.seq for item in kept.after()] == list(range(16, 26))
    assert [item.seq for item in kept.after(23)] == [24, 25]
    assert kept.last_seq == 25
    kept.clear()
    kept.add(Item(kept.next_seq()))
    assert [item.seq for item in kept.after()] == [26]


async def test_waiting_ends_with_the_item_that_was_waited_for():
    kept = recorder(1)
    waiting = asyncio.create_task(kept.wait(lambda item: item.seq > 1, count=2, after=0, timeout=5))
    for _ in range(3):
        await asyncio.sleep(0)
        kept.add(Item(kept.next_seq()))
    found = await waiting
    assert found is not None
    assert [item.seq for item in found][:2] == [2, 3]


async def test_waiting_ends_when_the_time_is_up():
    assert await recorder(1).wait(lambda item: item.seq > 1, count=1, after=0, timeout=0.01) is None
    assert not await Pulse().until(lambda: False, 0.01, pause=0.001)

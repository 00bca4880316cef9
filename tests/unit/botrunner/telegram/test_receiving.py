"""When a bot is called deaf, what is done about it, and what proves that it hears: decided by what was seen, in fake time."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from telethon import errors
from telethon.tl import types

from botfleet.store.rows import UpdateState
from botrunner.telegram.receiving import CHECK_SECONDS, PROOF_LASTS_CHECKS, Evidence, Remedy, Watch
from tests.waiting import DEADLINE

DATE = datetime(2026, 1, 2, tzinfo=UTC)
AT = UpdateState


class Looks:
    """Looks at an account, one every 20 s."""

    def __init__(self) -> None:
        self.evidence = Evidence()
        self.now = 0.0

    def look(self, ours: int, theirs: int, *, qts: tuple[int, int] = (0, 0)) -> Remedy | None:
        self.now += CHECK_SECONDS
        return self.evidence.compared(AT(ours, qts[0]), AT(theirs, qts[1]), self.now)

    def look_in_vain(self) -> None:
        self.now += CHECK_SECONDS
        self.evidence.unanswered(self.now)

    def push(self) -> None:
        self.evidence.pushed(self.now)

    @property
    def receiving(self) -> bool | None:
        return self.evidence.receiving


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_an_equal_count_is_the_proof_and_so_is_an_update(looks: Looks) -> None:
    assert looks.receiving is None
    assert looks.look(10, 10) is None
    assert (looks.receiving, looks.evidence.proved_at) == (True, 20.0)
    other = Looks()
    other.push()
    assert other.receiving is True


def test_a_quiet_account_that_is_well_gets_no_remedy(looks: Looks) -> None:
    assert [looks.look(10, 10) for _ in range(100)] == [None] * 100
    assert looks.receiving is True


def test_deafness_is_told_at_the_second_look_within_sixty_seconds_of_the_silence(looks: Looks) -> None:
    looks.look(10, 10)
    silent_since = looks.now
    assert looks.look(10, 11) is None
    assert looks.receiving is True, "an update may be on its way"
    assert looks.look(10, 11) is Remedy.CATCH_UP
    assert looks.receiving is False
    assert looks.now - silent_since <= 60 - 2 * 8, "two looks that are answered late, too"


def test_what_catching_up_does_not_cure_gets_another_connection(looks: Looks) -> None:
    assert [looks.look(10, 11) for _ in range(3)] == [None, Remedy.CATCH_UP, Remedy.RECONNECT]
    looks.evidence.connected()
    assert looks.receiving is False, "deaf until the proof"
    assert looks.look(11, 11) is None
    assert looks.receiving is True


def test_a_state_that_moved_between_two_looks_begins_anew(looks: Looks) -> None:
    assert [looks.look(number, number + 1) for number in range(10, 30)] == [None] * 20
    assert looks.receiving is not False


def test_a_second_deafness_without_a_push_in_between_gets_another_connection_and_after_a_push_not(
    looks: Looks,
) -> None:
    assert [looks.look(10, 11), looks.look(10, 11), looks.look(11, 11)] == [None, Remedy.CATCH_UP, None]
    assert looks.receiving is True
    assert [looks.look(11, 12), looks.look(11, 12)] == [None, Remedy.RECONNECT]
    looks.push()
    assert [looks.look(12, 13), looks.look(12, 13)] == [None, Remedy.CATCH_UP]


def test_while_nothing_helps_connections_become_rare_and_what_was_missed_is_fetched_at_each_look(looks: Looks) -> None:
    made: list[int] = []
    for number in range(1000):
        remedy = looks.look(10, 11)
        assert remedy is not None or looks.receiving is None or number == 0 or made
        if remedy is Remedy.RECONNECT:
            made.append(number)
            looks.evidence.connected()
    pauses = [after - before for before, after in itertools.pairwise(made)]
    assert pauses[0] == 2
    assert pauses == sorted(pauses)
    assert max(pauses) == 32
    assert looks.receiving is False


def test_a_state_ahead_of_telegrams_is_deafness_too_and_telegrams_is_taken_as_it_was_seen_first(looks: Looks) -> None:
    assert looks.look(1000, 10) is None
    assert looks.look(1000, 13) is Remedy.TAKE_STATE
    assert looks.receiving is False
    assert looks.evidence.baseline == AT(10), "what came since then is still to be had"
    looks.evidence.connected()
    assert looks.look(13, 13) is None
    assert looks.receiving is True


def test_ahead_and_behind_are_not_two_in_a_row(looks: Looks) -> None:
    assert [looks.look(10, 9), looks.look(10, 11), looks.look(10, 9), looks.look(10, 11)] == [None] * 4


def test_a_new_connection_begins_without_the_proof_of_the_last_one_and_counts_anew(looks: Looks) -> None:
    looks.look(10, 10)
    looks.look(10, 11)
    looks.evidence.connected()
    assert looks.receiving is None
    assert looks.look(10, 11) is None


def test_a_proof_is_one_for_a_minute(looks: Looks) -> None:
    looks.look(10, 10)
    for _ in range(PROOF_LASTS_CHECKS):
        looks.look_in_vain()
        assert looks.receiving is True
    looks.look_in_vain()
    assert looks.receiving is None
    looks.look(10, 10)
    assert looks.receiving is True


def test_looks_in_vain_do_not_undo_deafness_and_are_no_looks(looks: Looks) -> None:
    looks.look(10, 11)
    looks.look_in_vain()
    assert looks.receiving is not False
    looks.look(10, 11)
    for _ in range(10):
        looks.look_in_vain()
    assert looks.receiving is False


def test_no_verdict_hangs_on_the_qts_and_what_is_missing_by_it_is_fetched_once(looks: Looks) -> None:
    seen = [looks.look(10, 10, qts=(0, 5)) for _ in range(5)]
    assert seen == [None, Remedy.CATCH_UP, None, None, None]
    assert looks.receiving is True
    assert [looks.look(10, 10, qts=(0, 6)) for _ in range(3)] == [None, Remedy.CATCH_UP, None]
    assert [looks.look(10, 10, qts=(7, 6)) for _ in range(3)] == [None, None, None]


class Time:
    """It goes on when a test says so: the watch sleeps until then."""

    def __init__(self) -> None:
        self.now = 0.0
        self._wakes_at = 0.0
        self._sleeper: asyncio.Future[None] | None = None
        self._asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._wakes_at = self.now + seconds
        self._sleeper = asyncio.get_running_loop().create_future()
        self._asleep.set()
        await self._sleeper

    async def until_asleep(self) -> None:
        await asyncio.wait_for(self._asleep.wait(), DEADLINE)

    async def wake(self) -> None:
        """Let it be the time for which the watch waits, and wait until it sleeps again."""
        await self.until_asleep()
        assert self._sleeper is not None
        self._asleep.clear()
        self.now = self._wakes_at
        self._sleeper.set_result(None)
        await self.until_asleep()


class Line:
    """A connection whose answers a test gives: a pts or an error. The last one is given again and again."""

    def __init__(self, *answers: int | Exception) -> None:
        self.caught_up = asyncio.Event()
        self.caught_up.set()
        self.stored = AT(10)
        self.in_difference = False
        self.answers = list(answers)
        self.asked = 0
        self.catch_ups = 0
        self.failed: list[BaseException] = []
        self.while_asking: Callable[[], None] = lambda: None

    async def ask(self, request: object, deadline: float) -> object:
        assert 0 < deadline < CHECK_SECONDS
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.while_asking()
        if isinstance(answer, Exception):
            raise answer
        return types.updates.State(answer, 0, DATE, 1, 0)

    async def catch_up(self) -> None:
        self.catch_ups += 1

    def fail(self, error: BaseException) -> None:
        self.failed.append(error)


class Watched:
    """A watch over a line, and what it told."""

    def __init__(self, line: Line) -> None:
        self.line, self.time = line, Time()
        self.verdicts: list[bool | None] = []
        self.proofs: list[float] = []
        self.remedies: list[Remedy] = []
        self.lags: list[int] = []
        self.watch = Watch(
            on_verdict=self.verdicts.append,
            on_proof=lambda: self.proofs.append(self.time.now),
            on_remedy=self.remedies.append,
            on_lag=self.lags.append,
            clock=lambda: self.time.now,
            sleep=self.time.sleep,
        )

    @asynccontextmanager
    async def goes_on(self) -> AsyncIterator[None]:
        """From the first look; at the end it must still be at it."""
        task = asyncio.create_task(self.watch.run(self.line))
        await self.time.until_asleep()
        yield
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def looks(self, count: int) -> None:
        for _ in range(count):
            await self.time.wake()

    async def ends(self) -> Remedy:
        task = asyncio.create_task(self.watch.run(self.line))
        while not task.done():
            waking = asyncio.create_task(self.time.wake())
            await asyncio.wait((task, waking), return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
        return task.result()


async def test_a_watch_catches_up_and_then_ends_with_the_wish_for_another_connection() -> None:
    watched = Watched(Line(11))
    assert await watched.ends() is Remedy.RECONNECT
    assert watched.line.catch_ups == 1
    assert watched.remedies == [Remedy.CATCH_UP, Remedy.RECONNECT]
    assert watched.verdicts == [None, False, False]
    assert watched.proofs == []
    assert watched.time.now == 2 * CHECK_SECONDS


async def test_the_wish_for_telegrams_state_ends_it_too() -> None:
    watched = Watched(Line(7, 9))
    assert await watched.ends() is Remedy.TAKE_STATE
    assert watched.watch.evidence.baseline == AT(7, 0, DATE, 1)


async def test_each_proof_is_told_once_with_its_time_and_a_look_in_vain_is_none() -> None:
    watched = Watched(Line(10, 10, TimeoutError(), 10))
    async with watched.goes_on():
        await watched.looks(3)
    assert watched.proofs == [0, 20, 60]
    assert watched.verdicts == [True, True, True, True]
    assert watched.remedies == []


@pytest.mark.parametrize(
    "trouble", [TimeoutError(), ConnectionError(), errors.RpcCallFailError(None), RuntimeError("planted words")]
)
async def test_no_error_ends_the_watch_or_is_told_with_its_words(
    trouble: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched(Line(10, trouble))
    async with watched.goes_on():
        await watched.looks(10)
    assert watched.line.asked == 11
    assert (watched.remedies, watched.line.failed) == ([], [])
    assert watched.verdicts[-1] is None, "the proof is too old by now"
    said = capsys.readouterr().out
    assert type(trouble).__name__ in said or "RPC_CALL_FAIL" in said
    assert "planted" not in said


async def test_a_flood_wait_is_waited_for_and_is_no_verdict() -> None:
    watched = Watched(Line(10, errors.FloodWaitError(None, 100), 10))
    async with watched.goes_on():
        await watched.looks(5)
        assert watched.line.asked == 2
        assert watched.verdicts == [True, True, True, True, None, None]
        await watched.looks(1)
        assert watched.line.asked == 3
    assert watched.verdicts[-1] is True
    assert watched.remedies == []


async def test_a_lost_account_that_a_look_finds_ends_the_connection_with_its_error() -> None:
    lost = errors.AuthKeyUnregisteredError(None)
    watched = Watched(Line(lost))
    async with watched.goes_on():
        assert watched.line.failed == [lost]


async def test_nothing_is_asked_while_a_difference_is_fetched_and_an_answer_amid_one_is_no_look() -> None:
    line = Line(11)
    line.in_difference = True
    watched = Watched(line)

    def begins() -> None:
        line.in_difference = True

    line.while_asking = begins
    async with watched.goes_on():
        await watched.looks(3)
        assert line.asked == 0
        for _ in range(3):
            line.in_difference = False
            await watched.looks(1)
        assert line.asked == 3
    assert set(watched.verdicts) == {None}
    assert watched.remedies == []


async def test_looks_at_a_state_that_moves_with_each_of_them_find_nothing() -> None:
    line = Line(50)

    def moves() -> None:
        line.stored = AT(line.stored.pts + 1)

    line.while_asking = moves
    watched = Watched(line)
    async with watched.goes_on():
        await watched.looks(6)
    assert watched.remedies == []


async def test_an_account_on_which_updates_come_in_is_not_asked() -> None:
    watched = Watched(Line(10))
    async with watched.goes_on():
        for _ in range(10):
            watched.time.now += CHECK_SECONDS - 1
            watched.watch.pushed()
            await watched.looks(1)
        assert watched.line.asked == 1
        assert len(watched.proofs) == 11
        await watched.looks(1)
        assert watched.line.asked == 2


async def test_the_first_look_comes_when_what_was_missed_has_been_fetched() -> None:
    line = Line(10)
    line.caught_up.clear()
    watched = Watched(line)
    task = asyncio.create_task(watched.watch.run(line))
    await asyncio.sleep(0)
    assert line.asked == 0
    line.caught_up.set()
    await watched.time.until_asleep()
    assert watched.verdicts == [True]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_watch_that_waits_for_a_difference_in_vain_looks_all_the_same() -> None:
    line = Line(10)
    line.caught_up.clear()
    watched = Watched(line)
    watched.watch._every = 0.01
    async with watched.goes_on():
        assert watched.verdicts == [True]


@pytest.mark.parametrize("turns", range(4))
async def test_a_watch_that_is_cancelled_as_its_first_look_begins_ends(turns: int) -> None:
    """A cancellation that came with what it waited for has been lost once: `asyncio.wait_for` of Python 3.11 swallows it."""
    line = Line(10)
    line.caught_up.clear()
    watched = Watched(line)
    task = asyncio.create_task(watched.watch.run(line))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    line.caught_up.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=DEADLINE)
    assert done
    assert task.cancelled()


async def test_a_catch_up_that_fails_ends_nothing() -> None:
    class Broken(Line):
        async def catch_up(self) -> None:
            raise RuntimeError

    assert await Watched(Broken(11)).ends() is Remedy.RECONNECT


async def test_each_look_that_was_answered_tells_how_far_telegram_is_ahead() -> None:
    watched = Watched(Line(10, 13, errors.RPCError(None, "RPC_CALL_FAIL", 500), 10))
    async with watched.goes_on():
        await watched.looks(3)
    assert watched.lags == [0, 3, 0]

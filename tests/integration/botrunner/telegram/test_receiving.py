"""A connection that brings nothing is noticed and cured; one that is merely quiet is left alone. Looks every 0.3 s."""

import asyncio
from typing import Any

import pytest

from botfleet.conditions import Reason
from botfleet.store.messages import MessagePath
from botfleet.store.rows import UpdateState
from botfleet_simulator.person import Person
from botrunner.telegram.connection import Status
from botrunner.telegram.receiving import CHECK_SECONDS, Evidence, Remedy
from tests.integration.botrunner.telegram.harness import Echo, Life, World
from tests.integration.botrunner.telegram.test_messages import answered_once
from tests.waiting import until

LOOKS = 0.3
STATE, DIFFERENCE = "updates.getState", "updates.getDifference"
AHEAD = 1_000_000


async def looks_at(world: World, count: int) -> None:
    """Until so many more looks have been answered."""
    before = await world.tg.admin.last_call()
    await world.tg.admin.wait_for_call(STATE, account=world.bot.id, after=before, count=count, outcome="ok")


async def listening(world: World) -> Life:
    life = await world.live(check_seconds=LOOKS)
    await until(lambda: life.telegram.status.receiving)
    return life


async def ahead(world: World, alice: Person) -> MessagePath:
    """A bot that has heard one message, and whose stored state is then set ahead of Telegram's."""
    life = await listening(world)
    await alice.say(world.name, "before")
    await world.wait_texts(world.alice, ["before"])
    await life.stop()
    path = await world.path()
    was = (await path.states())[0]
    assert await path.replace_baseline(UpdateState(AHEAD, was.qts, was.date, was.seq), was=was)
    return path


def connections(life: Life) -> int:
    """How often it was told that there is one."""
    return sum(status.connected and not before.connected for before, status in _pairs(life.statuses))


def verdicts(statuses: list[Status]) -> list[bool | None]:
    """What was told of receiving, without repetitions."""
    told = [status.receiving for status in statuses]
    return [word for number, word in enumerate(told) if number == 0 or word != told[number - 1]]


async def test_a_bot_that_has_just_connected_proves_at_once_that_updates_come_through(world: World):
    life = await world.live()
    await life.connected()
    await until(lambda: life.telegram.status.receiving, CHECK_SECONDS / 2)
    assert life.telegram.status == Status(True, True, None, True, life.telegram.me)


async def test_silence_is_noticed_told_and_cured_and_nothing_is_lost_or_doubled(world: World, alice: Person):
    life = await listening(world)
    echo = asyncio.create_task(Echo(world, life).run())
    await alice.say(world.name, "before")
    await answered_once(world, alice, ["before"])
    await world.tg.admin.add_fault("silence", account=world.bot.id)
    await alice.say(world.name, "in silence")
    deaf = await until(lambda: [status for status in life.statuses if status.receiving is False])
    assert deaf[0] == Status(True, True, Reason.DEAF, False, life.telegram.me)
    assert life.remedies == [Remedy.CATCH_UP]
    await answered_once(world, alice, ["before", "in silence"])
    await until(lambda: life.telegram.status.receiving)
    assert life.telegram.status.reason is None
    assert await world.calls("auth.importBotAuthorization") == 1
    await world.tg.admin.clear_faults()
    await alice.say(world.name, "after")
    await answered_once(world, alice, ["before", "in silence", "after"])
    echo.cancel()
    await asyncio.gather(echo, return_exceptions=True)


async def test_a_connection_that_stays_silent_is_made_anew_and_each_message_is_answered_once(
    world: World, alice: Person
):
    life = await listening(world)
    echo = asyncio.create_task(Echo(world, life).run())
    (connection,) = await world.tg.admin.connections(world.bot.id)
    await world.tg.admin.add_fault("silence", account=world.bot.id)
    texts = []
    for number in range(3):
        texts.append(f"message {number}")
        await alice.say(world.name, texts[-1])
        await answered_once(world, alice, texts)
        await until(lambda: life.telegram.status.receiving)
    assert Remedy.CATCH_UP in life.remedies
    assert Remedy.RECONNECT in life.remedies
    assert connection.id not in {one.id for one in await world.tg.admin.connections(world.bot.id)}
    await world.tg.admin.clear_faults()
    await alice.say(world.name, "after")
    await answered_once(world, alice, [*texts, "after"])
    echo.cancel()
    await asyncio.gather(echo, return_exceptions=True)


@pytest.mark.parametrize("spoken", [False, True])
async def test_a_bot_that_is_well_gets_no_remedy(world: World, alice: Person, spoken: bool):
    life = await listening(world)
    if spoken:
        echo = asyncio.create_task(Echo(world, life).run())
        await alice.say(world.name, "hello")
        await answered_once(world, alice, ["hello"])
        echo.cancel()
        await asyncio.gather(echo, return_exceptions=True)
    differences = await world.calls("updates.getDifference")
    await looks_at(world, 6)
    assert life.remedies == []
    assert verdicts(life.statuses) == [None, True]
    assert await world.calls("updates.getDifference") == differences
    assert len(life.proofs) >= 6


async def test_an_update_that_comes_in_is_a_proof_without_a_question(world: World, alice: Person):
    life = await world.live()
    await until(lambda: life.telegram.status.receiving)
    proofs, asked = len(life.proofs), await world.calls(STATE)
    await alice.say(world.name, "hello")
    await until(lambda: len(life.proofs) > proofs)
    assert await world.texts(world.alice) == ["hello"], "it is stored by then"
    assert await world.calls(STATE) == asked


async def test_a_stored_state_ahead_of_telegrams_is_noticed_and_telegrams_is_taken(
    world: World, alice: Person, capsys: pytest.CaptureFixture[str]
):
    path = await ahead(world, alice)
    life = await world.live(check_seconds=LOOKS)
    await until(lambda: life.telegram._watch.evidence.baseline)  # what comes from now on is still to be had
    await alice.say(world.name, "dropped by Telethon")
    await until(lambda: life.remedies == [Remedy.TAKE_STATE])
    assert False in verdicts(life.statuses)
    await world.wait_texts(world.alice, ["before", "dropped by Telethon"])
    assert "telegram.took_the_state_of_the_server" in capsys.readouterr().out
    await until(lambda: life.telegram.status.receiving)
    await alice.say(world.name, "after")
    await world.wait_texts(world.alice, ["before", "dropped by Telethon", "after"])
    assert (await path.states())[0].pts < AHEAD
    await looks_at(world, 3)
    assert life.remedies == [Remedy.TAKE_STATE]


@pytest.mark.parametrize("error", ["PERSISTENT_TIMESTAMP_INVALID", "PERSISTENT_TIMESTAMP_OUTDATED"])
async def test_a_stored_state_ahead_of_telegrams_of_which_telegram_makes_nothing_is_noticed_too(
    world: World, alice: Person, error: str
):
    """The difference is refused: neither asking again nor a new connection gets past it, and the states tell why."""
    path = await ahead(world, alice)
    refused = await world.tg.admin.add_fault(
        "error", method=DIFFERENCE, account=world.bot.id, message=error, times=None
    )
    life = await world.live(check_seconds=LOOKS)
    await until(lambda: life.telegram._watch.evidence.baseline)
    assert connections(life) == 1
    await world.tg.admin.remove_fault(refused.id)
    await alice.say(world.name, "dropped by Telethon")
    await until(lambda: Remedy.TAKE_STATE in life.remedies)
    assert Status(True, True, Reason.DEAF, False, life.telegram.me) in life.statuses
    await world.wait_texts(world.alice, ["before", "dropped by Telethon"])
    await until(lambda: life.telegram.status.receiving)
    assert (await path.states())[0].pts < AHEAD


async def test_a_difference_that_telegram_refuses_is_told_as_deafness_and_what_was_missed_comes_after_it(
    world: World, alice: Person
):
    await (await listening(world)).stop()
    await alice.say(world.name, "while away")
    refused = await world.tg.admin.add_fault(
        "error", method=DIFFERENCE, account=world.bot.id, message="PERSISTENT_TIMESTAMP_EMPTY", times=None
    )
    life = await world.live(check_seconds=LOOKS)
    await until(lambda: Remedy.CATCH_UP in life.remedies)
    assert Status(True, True, Reason.DEAF, False, life.telegram.me) in life.statuses
    assert connections(life) == 1
    assert await world.texts(world.alice) == []
    await world.tg.admin.remove_fault(refused.id)
    await world.wait_texts(world.alice, ["while away"])
    await until(lambda: life.telegram.status.receiving)


async def test_a_flood_wait_on_the_question_is_waited_for_and_the_bot_goes_on(world: World, alice: Person):
    life = await listening(world)
    flood: dict[str, Any] = {"method": STATE, "account": world.bot.id}
    before = await world.tg.admin.last_call()
    await world.tg.admin.add_fault("error", **flood, message="FLOOD_WAIT_2")
    (flooded,) = await world.tg.admin.wait_for_call(**flood, after=before, outcome="FLOOD_WAIT_2")
    await until(lambda: life.telegram.status.receiving is None)
    await alice.say(world.name, "meanwhile")
    await world.wait_texts(world.alice, ["meanwhile"])
    await until(lambda: life.telegram.status.receiving)  # an update is a proof, told once it is stored
    again = (await world.tg.admin.wait_for_call(**flood, after=flooded.seq, outcome="ok"))[0]
    assert again.time - flooded.time > 1.5
    assert life.remedies == []


async def test_a_question_that_is_never_answered_costs_no_connection(world: World, alice: Person, monkeypatch):
    monkeypatch.setattr("botrunner.telegram.receiving.ANSWER_SECONDS", 0.3)
    life = await listening(world)
    await world.tg.admin.add_fault("drop_answer", method=STATE, account=world.bot.id, times=5)
    await until(lambda: life.telegram.status.receiving is None)
    assert life.telegram.connected
    await until(lambda: life.telegram.status.receiving)
    assert life.remedies == []
    assert connections(life) == 1


async def test_a_look_that_breaks_costs_a_connection_and_not_the_bot(
    world: World, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    compared = Evidence.compared
    broken: list[float] = []

    def breaks(self: Evidence, ours: UpdateState, theirs: UpdateState, now: float) -> Remedy | None:
        if len(broken) < 2:
            broken.append(now)
            raise RuntimeError("planted words")
        return compared(self, ours, theirs, now)

    monkeypatch.setattr(Evidence, "compared", breaks)
    life = await listening(world)
    assert len(broken) == 2
    assert life.telegram.connected
    said = capsys.readouterr().out
    assert "telegram.watch_broke" in said
    assert "planted" not in said


async def test_a_key_that_died_is_found_by_the_question_of_a_bot_to_which_nobody_writes(world: World):
    life = await listening(world)
    await world.tg.admin.revoke_sessions(world.bot.id)
    await until(lambda: not life.telegram.connected)
    await until(lambda: life.telegram.status.receiving)
    assert await world.calls("auth.importBotAuthorization") == 2


def _pairs(statuses: list[Status]) -> list[tuple[Status, Status]]:
    return list(zip([Status(), *statuses], statuses, strict=False))

"""Promises of steering a bot from within a chat: people's commands, admins' commands, a pause, a takeover."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from botfleet.store.rows import Intake, OwnMessage
from botfleet.store.tables import inbox, messages, outbox
from botrunner.conversation import texts
from botrunner.conversation.commands import ADMINS, EVERYBODYS
from botrunner.conversation.facts import MOST
from botrunner.telegram.sender import Wait
from tests.contracts.store.samples import snapshot
from tests.integration.botrunner.conversation.conftest import Bot, World, spec_of
from tests.integration.botrunner.conversation.fakes import Steps, Stumbling
from tests.integration.botrunner.conversation.test_groups import closed_for_days
from tests.waiting import DEADLINE, until, until_async

ADMIN, PERSON = 9, 5


async def closed(world: World, peer_id: int = PERSON) -> None:
    """Nothing is pending any more in this chat."""

    async def nothing_pends() -> bool:
        return not await world.path.pending(peer_id)

    await until_async(nothing_pends)


async def all_sent(world: World) -> None:
    """Nothing waits to be sent, and what was sent is stored as such."""

    async def nothing_is_open() -> bool:
        return not (await world.path.counts()).outgoing

    await until_async(nothing_is_open)


async def typed(world: World, message_id: int, text: str = "let me answer", hours: float = 1) -> None:
    """The account's owner types into the person's chat."""
    at = datetime.now(UTC).replace(microsecond=0)
    until = None if text == "/release" else at + timedelta(hours=hours)
    await world.path.take_in(Intake(own=(OwnMessage(PERSON, message_id, text, at, until),)))


async def test_help_names_everybodys_commands_and_says_that_an_ai_writes(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, "/help")
        (help_text,) = await world.wait_delivered(PERSON, 1)
        await world.says(bot, "/help", peer_id=ADMIN)
        (admins_help,) = await world.wait_delivered(ADMIN, 1)
    assert texts.DISCLOSURE in help_text
    assert [line.split()[0] for line in help_text.splitlines() if line.startswith("/")] == [f"/{c}" for c in EVERYBODYS]
    assert not any(f"/{command}" in help_text for command in ADMINS)
    assert all(f"/{command}" in admins_help for command in EVERYBODYS | ADMINS)
    assert world.model.turns == []


async def test_after_forget_the_model_is_shown_nothing_of_before_and_the_store_holds_no_text(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "planted one")
        await world.wait_delivered(PERSON, 1)
        await world.says(bot, "/forget", first=2)
        assert (await world.wait_delivered(PERSON, 2))[1] == texts.FORGOTTEN
        await bot.outgoing.idle()
        assert "planted" not in repr(await snapshot(world.store))
        await world.says(bot, "two", first=3)
        await world.wait_delivered(PERSON, 3)
    assert [turn[1:] for turn in world.model.prompts] == [["planted one"], ["two"]]


async def test_a_forget_during_generation_throws_the_answer_away_and_skips_the_question(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "planted")
        await world.model.wait_asked(1)
        await world.says(bot, "/forget", first=2)
        world.model.go.set()
        assert await world.wait_delivered(PERSON, 1) == [texts.FORGOTTEN]
        await bot.at_rest()
    assert await world.inbox() == [("skipped", "Forgotten"), ("answered", None)]
    assert bot.metrics.skipped.labels("Forgotten")._value.get() == 1
    assert "planted" not in repr(await snapshot(world.store))


async def test_an_opt_out_survives_a_forget(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "/stop", "/forget", "still there?")
        assert await world.wait_delivered(PERSON, 2) == [texts.STOPPED, texts.FORGOTTEN]
        await closed(world)
    assert (await world.path.silence(PERSON)).opted_out
    assert world.model.turns == []


@pytest.mark.parametrize("after", [False, True])
async def test_a_forget_that_is_killed_at_any_step_ends_in_the_same_state(world: World, after: bool) -> None:
    number, killed = 0, True
    while killed:
        peer_id = 100 + number
        await world.says(None, "planted", "/forget", peer_id=peer_id)
        steps = Steps(number, after=after)
        bot = Bot(Stumbling(world.path, steps), world.model, world.telegram, spec_of())
        async with asyncio.timeout(DEADLINE), bot.live():
            stopped = asyncio.create_task(steps.stopped.wait())
            said = asyncio.create_task(world.wait_delivered(peer_id, 1))
            await asyncio.wait((stopped, said), return_when=asyncio.FIRST_COMPLETED)
            killed = not said.done()
            for task in (stopped, said):
                task.cancel()
            await asyncio.gather(stopped, said, return_exceptions=True)
        again = world.bot()
        async with again.live():
            assert await world.wait_delivered(peer_id, 1) == [texts.FORGOTTEN]
            await again.outgoing.idle()
        assert "planted" not in repr(await snapshot(world.store))
        number += 1
    assert number > 8


KNOWN = "What I have learned of 5:\nlikes: planted tea\nplace: Osh"
LEARNED = {"likes": "planted tea", "place": "Osh"}


async def learn(world: World, facts: Mapping[str, str | None] = LEARNED) -> None:
    """The bot knows this of the person; else what `KNOWN` says."""
    await world.says(None, "hello", first=1000)
    rows = await world.path.pending(PERSON)
    await world.path.hand_over(PERSON, [row.message_id for row in rows])
    (said,) = await world.path.history(PERSON, 10)
    assert await world.path.save_summary(PERSON, "notes", said.position, facts)


async def test_an_admin_is_told_what_is_known_of_a_person_and_nobody_else_is(world: World) -> None:
    await learn(world)
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, "/facts 5", peer_id=6)
        assert await world.wait_delivered(6, 1) == ["re: /facts 5"]
        await world.says(bot, "/facts 5", "/facts 6", "/facts", peer_id=ADMIN)
        told = await world.wait_delivered(ADMIN, 3)
        await bot.outgoing.idle()
    assert told == [KNOWN, "I have learned no facts of 6.", texts.NOBODY]
    assert PERSON not in world.telegram.delivered
    assert KNOWN not in [row.text for row in await world.rows(outbox)], "stored until it is sent, and no longer"


@pytest.mark.parametrize("after", [False, True])
async def test_an_admin_corrects_and_erases_facts_by_name_also_when_killed_at_any_step(
    world: World, after: bool
) -> None:
    await learn(world)
    number, killed = 0, True
    while killed:
        admin, drink = 100 + number, f"coffee {number}"
        commands = [f"/facts 5 set drink {drink}", "/facts 5 forget likes"]
        if number:
            commands[1] = "/facts 5"  # it is erased already
        await world.says(None, *commands, peer_id=admin)
        steps = Steps(number, after=after)
        bot = Bot(Stumbling(world.path, steps), world.model, world.telegram, spec_of(admins=(admin,)))
        async with asyncio.timeout(DEADLINE), bot.live():
            stopped = asyncio.create_task(steps.stopped.wait())
            said = asyncio.create_task(world.wait_delivered(admin, 2))
            await asyncio.wait((stopped, said), return_when=asyncio.FIRST_COMPLETED)
            killed = not said.done()
            for task in (stopped, said):
                task.cancel()
            await asyncio.gather(stopped, said, return_exceptions=True)
        again = world.bot(admins=(admin,))
        async with again.live():
            told = await world.wait_delivered(admin, 2)
            await all_sent(world)
        assert told[1] == f"What I have learned of 5:\ndrink: {drink}\nplace: Osh"
        assert await world.path.facts(PERSON) == {"drink": drink, "place": "Osh"}
        assert "planted" not in repr(await snapshot(world.store))
        assert drink not in repr([(await world.rows(table)) for table in (inbox, outbox)])
        number += 1
    assert number > 8


async def test_only_an_admin_can_steer_the_bot(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, "/pause")
        assert await world.wait_delivered(PERSON, 1) == ["re: /pause"]
        assert not bot.steering.paused
        await world.says(bot, "/pause", peer_id=ADMIN)
        assert await world.wait_delivered(ADMIN, 1) == [texts.PAUSED]
        assert bot.steering.paused


async def test_a_paused_bot_answers_nobody_over_restarts_and_everything_after_the_resume(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "in flight")
        await world.model.wait_asked(1)
        await world.says(bot, "/pause", peer_id=ADMIN)
        await world.wait_delivered(ADMIN, 1)
        world.model.go.set()
        await closed(world)
        await bot.outgoing.idle()
    assert sorted(await world.outbox(), key=str) == [("pending", None), ("sent", None)], "paid for, and queued"
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, "later", peer_id=6)
        await bot.at_rest()
        assert bot.metrics.paused._value.get() == 1
        assert PERSON not in world.telegram.delivered
        assert len(world.model.turns) == 1
        await world.says(bot, "a question", "/resume", peer_id=ADMIN, first=2)
        assert await world.wait_delivered(PERSON, 1) == ["re: in flight"]
        assert await world.wait_delivered(6, 1) == ["re: later"]
        assert (await world.wait_delivered(ADMIN, 3))[1:] == [texts.RESUMED, "re: a question"]
    assert bot.metrics.paused._value.get() == 0


async def test_during_a_pause_nobody_is_asked_for_words_nor_told_of_the_hours(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, "/pause", peer_id=ADMIN)
        await world.wait_delivered(ADMIN, 1)
        await all_sent(world)
        await world.says(bot, " ")
        await bot.at_rest()
    assert ("pending", None) in await world.inbox()
    hours = {**closed_for_days(), "outsideHours": "Message", "message": "We are closed."}
    bot = world.bot(admins=(ADMIN,), schedule=hours)
    async with bot.live():
        await world.says(bot, "words", peer_id=6)
        await bot.at_rest()
    assert await world.outbox() == [("sent", None)], "the admin's confirmation alone"


async def test_a_pause_that_comes_while_a_question_waits_for_its_turn_holds_that_question(world: World) -> None:
    bot = world.bot(admins=(ADMIN,), concurrent=1)
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.says(bot, "a question", peer_id=ADMIN)
        await until(lambda: len(bot.conversations._slots._waiters or ()) == 1)
        await world.says(bot, "/pause", peer_id=ADMIN, first=2)
        world.model.go.set()
        assert await world.wait_delivered(ADMIN, 1) == [texts.PAUSED]
        await bot.at_rest()
    assert world.model.turns == [["one"]]


async def test_an_admins_commands_are_obeyed_whomever_the_bot_answers(world: World) -> None:
    access = {"users": {"allow": [PERSON]}, "privateChats": False}
    bot = world.bot(admins=(ADMIN,), access=access)
    async with bot.live():
        await world.says(bot, "a question", "/help", "/pause", peer_id=ADMIN)
        assert (await world.wait_delivered(ADMIN, 2))[0] == texts.PAUSED
        await world.says(bot, "/help")
        await closed(world)
        await closed(world, ADMIN)
    assert (await world.inbox()).count(("skipped", "PrivateChatsOff")) == 1
    assert (await world.inbox()).count(("skipped", "NotAllowed")) == 1
    assert world.model.turns == []


async def test_a_stop_takes_effect_during_a_pause_and_is_confirmed_after_it(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, "/pause", peer_id=ADMIN)
        await world.wait_delivered(ADMIN, 1)
        await world.says(bot, "/stop")
        await closed(world)
        assert (await world.path.silence(PERSON)).opted_out
        assert PERSON not in world.telegram.delivered
        await world.says(bot, "/resume", peer_id=ADMIN, first=2)
        assert await world.wait_delivered(PERSON, 1) == [texts.STOPPED]


async def test_status_tells_of_the_bot_and_of_no_person(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, "planted question")
        await world.wait_delivered(PERSON, 1)
        await bot.outgoing.idle()
        await world.path.begin_takeover(77, datetime.now(UTC) + timedelta(hours=1), ADMIN)
        await world.says(bot, "/status", peer_id=ADMIN)
        (status,) = await world.wait_delivered(ADMIN, 1)
    assert f"Model: {bot.spec.model.name}." in status
    assert "Not paused." in status
    assert "wait for an answer: 1. To be sent: 0." in status, "the command itself"
    assert "taken over: 1." in status
    assert "planted" not in status
    assert "77" not in status


async def test_a_blocked_person_is_not_answered_until_unblocked(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, f"/block {PERSON}", peer_id=ADMIN)
        assert await world.wait_delivered(ADMIN, 1) == [texts.blocked(PERSON)]
        await world.says(bot, "hello", "/help")
        await closed(world)
        assert (await world.inbox()).count(("skipped", "Blocked")) == 2
        await world.says(bot, f"/unblock {PERSON}", peer_id=ADMIN, first=2)
        await world.wait_delivered(ADMIN, 2)
        await world.says(bot, "again", first=3)
        assert await world.wait_delivered(PERSON, 1) == ["re: again"]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("/block", texts.NOBODY),
        ("/block @somebody", texts.NOBODY),
        ("/unblock -5", texts.NOBODY),
        ("/block 9", texts.NOT_AN_ADMIN),
        ("/take", texts.NOBODY),
        ("/take 5 forever", texts.NO_TIME),
        ("/take 5 0", texts.NO_TIME),
        ("/take 5 43201", texts.NO_TIME),
        ("/release", texts.NOBODY),
        ("/release 5", texts.NOT_TAKEN),
        ("/facts @somebody", texts.NOBODY),
        ("/facts 5 forget", texts.NO_FACT),
        ("/facts 5 forget likes", texts.no_such_fact(5)),
        ("/facts 5 set Likes tea", texts.NO_FACT),
        ("/facts 5 set likes", texts.NO_FACT),
        ("/facts 5 set likes " + "x" * 201, texts.NO_FACT),
        ("/facts 5 erase", texts.NO_FACT),
        ("/facts @somebody set likes planted tea", texts.NOBODY),
        ("/facts 5 forget planted", texts.no_such_fact(5)),
        ("/facts 5 forget likes planted", texts.NO_FACT),
        ("/facts 5 set Likes planted tea", texts.NO_FACT),
        ("/facts 5 set likes planted " + "x" * 200, texts.NO_FACT),
        ("/facts 5 add likes planted tea", texts.NO_FACT),
    ],
)
async def test_a_command_that_cannot_be_obeyed_says_what_to_write(world: World, said: str, answer: str) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, said, peer_id=ADMIN)
        assert await world.wait_delivered(ADMIN, 1) == [answer]
        await all_sent(world)
    assert "planted" not in repr(await snapshot(world.store)), "the person may erase it in their own chat alone"


async def test_a_fact_beyond_the_most_is_refused_and_its_value_not_kept(world: World) -> None:
    await learn(world, {f"fact_{number}": "tea" for number in range(MOST)})
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, "/facts 5 set likes planted tea", peer_id=ADMIN)
        assert await world.wait_delivered(ADMIN, 1) == [texts.TOO_MANY_FACTS]
        await all_sent(world)
    assert "planted" not in repr(await snapshot(world.store))


@pytest.mark.parametrize("after", [False, True])
async def test_a_correction_that_is_refused_keeps_no_value_and_is_answered_alike_when_killed_at_any_step(
    world: World, after: bool
) -> None:
    number, killed = 0, True
    while killed:
        admin = 100 + number
        await world.says(None, "/facts 5 forget planted", "/facts 5 set Likes planted tea", peer_id=admin)
        steps = Steps(number, after=after)
        bot = Bot(Stumbling(world.path, steps), world.model, world.telegram, spec_of(admins=(admin,)))
        async with asyncio.timeout(DEADLINE), bot.live():
            stopped = asyncio.create_task(steps.stopped.wait())
            said = asyncio.create_task(world.wait_delivered(admin, 2))
            await asyncio.wait((stopped, said), return_when=asyncio.FIRST_COMPLETED)
            killed = not said.done()
            for task in (stopped, said):
                task.cancel()
            await asyncio.gather(stopped, said, return_exceptions=True)
        async with world.bot(admins=(admin,)).live():
            assert await world.wait_delivered(admin, 2) == [texts.no_such_fact(5), texts.NO_FACT]
            await all_sent(world)
        assert "planted" not in repr(await snapshot(world.store))
        number += 1
    assert number > 8


async def test_an_admin_takes_a_chat_over_and_the_bot_is_silent_there_until_the_release(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await world.says(bot, f"/take {PERSON} 30", peer_id=ADMIN)
        assert "UTC" in (await world.wait_delivered(ADMIN, 1))[0]
        await world.says(bot, "to a person")
        await closed(world)
        await world.says(bot, f"/release {PERSON}", peer_id=ADMIN, first=2)
        assert (await world.wait_delivered(ADMIN, 2))[1] == texts.released(PERSON)
        await world.says(bot, "to the bot", first=2)
        assert await world.wait_delivered(PERSON, 1) == ["re: to a person to the bot"]
    assert world.model.prompts[0][1:] == ["to a person", "to the bot"], "the model knows what was said"
    assert bot.metrics.skipped.labels("TakenOver")._value.get() == 1


async def test_a_takeover_is_kept_over_a_restart(world: World) -> None:
    await typed(world, 1)
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "hello", first=2)
        await closed(world)
        await bot.conversations.drain()
    assert await world.inbox() == [("skipped", "TakenOver")]
    assert world.model.turns == []


async def test_the_owner_who_types_while_the_model_writes_is_not_interrupted(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await typed(world, 2)
        world.model.go.set()
        await bot.conversations.drain()
    assert await world.inbox() == [("skipped", "TakenOver")]
    assert await world.outbox() == []
    said = [(row.role, row.text) for row in await world.rows(messages)]
    assert said == [("user", "one"), ("assistant", "let me answer")]


async def test_what_comes_with_the_owners_message_is_not_answered_either(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await typed(world, 2)
        await world.says(bot, "two", first=3)
        world.model.go.set()
        await closed(world)
        await bot.conversations.drain()
    assert await world.inbox() == [("skipped", "TakenOver")] * 2
    assert await world.outbox() == []


async def test_after_the_owners_release_the_bot_answers_and_knows_what_the_owner_said(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await typed(world, 1)
        await typed(world, 2, "/release")
        await world.says(bot, "and now?", first=3)
        await world.wait_delivered(PERSON, 1)
    assert world.model.prompts == [[world.model.prompts[0][0], "let me answer", "and now?"]]


async def test_a_row_that_telegram_gave_back_is_not_said_into_a_takeover(world: World) -> None:
    """It was attempted when the takeover began; then a flood wait showed that it had not arrived."""
    bot = world.bot()
    world.telegram.go.clear()
    world.telegram.outcomes[PERSON] = [Wait(0, whole_account=False)]
    async with bot.live():
        await world.says(bot, "one")
        await world.telegram.wait(lambda: bool(world.telegram.sends))
        await world.path.begin_takeover(PERSON, datetime.now(UTC) + timedelta(hours=1), ADMIN)
        world.telegram.go.set()
        await bot.outgoing.idle()
    assert await world.outbox() == [("cancelled", "TakenOver")]
    assert world.telegram.delivered == {}

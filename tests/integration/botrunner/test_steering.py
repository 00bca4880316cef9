"""A real `botrunner` process that is steered from within chats: by the owner who types, by an admin, and through kills."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from botfleet_simulator.person import Person
from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, Runner
from tests.waiting import until_async

pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do


@dataclass
class Owned:
    """A person's account that a runner answers for, somebody who writes to it, and what the runner has stored."""

    world: World
    runner: Runner
    owner: str
    phone: str

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Of the runner's store."""
        file = self.world.folder / "data" / "botfleet.sqlite3"
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
            return connection.execute(statement).fetchall()

    async def wait_rows(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        async def there() -> bool:
            return self.rows(statement) == rows

        await until_async(there)

    @asynccontextmanager
    async def typing_owner(self) -> AsyncIterator[Person]:
        """The owner at a client of their own."""
        async with self.world.telegram.person(phone=self.owner) as owner:
            yield owner


@pytest.fixture
async def owned(world: World) -> Owned:
    owner, phone = await world.person(), await world.person()
    admin = world.telegram.admin
    await admin.update_account(owner, username="aigul")
    await admin.update_account(phone, username="bakyt")
    world.secret("assistant-session/session", await admin.create_session(owner))
    runner = world.runner(
        ROOT / "examples/person.yaml",
        conversation={"debounceSeconds": 0, "takeoverMinutes": 7},
        model={"baseUrl": world.model.base_url},
    )
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    return Owned(world, runner, owner, phone)


async def test_the_owner_who_types_while_the_model_writes_silences_the_bot_over_a_kill_until_the_release(
    owned: Owned,
) -> None:
    model = owned.world.model.admin
    hold = await model.add_fault("hold", times=1)
    async with owned.world.telegram.person(phone=owned.phone) as person, owned.typing_owner() as owner:
        await person.say("aigul", "message 1")
        await model.wait_fault(hold.id, hits=1)
        await owner.say("bakyt", "it is me, wait")
        await owned.wait_rows("select state, reason from inbox", [("skipped", "TakenOver")])
        await model.release(hold.id)
        await owned.runner.kill()
        await owned.runner.start()
        await person.say("aigul", "message 2")
        await owned.wait_rows("select state, reason from inbox", [("skipped", "TakenOver")] * 2)
        await owned.runner.wait_probe("/metrics", 200, "botfleet_runner_takeovers 1.0")
        await owner.say("bakyt", "/release")
        await owned.wait_rows("select count(*) from takeovers where ended_at is not null", [(1,)])
        await person.say("aigul", "message 3")
        await owned.wait_rows("select state from outbox", [("sent",)])
    replies = await owned.world.telegram.admin.messages(owned.phone, "aigul", incoming=True)
    assert [reply.text for reply in replies][:2] == ["it is me, wait", "/release"]
    assert len(replies) == 3
    assert "3" in replies[2].text
    assert owned.rows("select role, text from messages order by position")[:3] == [
        ("user", "message 1"),
        ("assistant", "it is me, wait"),
        ("user", "message 2"),
    ]


async def test_the_owner_typing_takes_a_chat_over_for_as_long_as_the_spec_says(owned: Owned) -> None:
    seconds = "select round(86400 * (julianday(until) - julianday(since))) from takeovers"
    async with owned.typing_owner() as owner:
        await owner.say("bakyt", "hello from me")
        await owned.wait_rows(seconds, [(7 * 60,)])


@pytest.mark.parametrize("short", [True, False])
async def test_the_bots_own_message_is_not_the_owner_typing_when_it_comes_back_after_a_kill(
    owned: Owned, short: bool
) -> None:
    """Killed between send and mark, and with the update state of before: the difference brings the message back."""
    admin = owned.world.telegram.admin
    await admin.update_settings(short_updates=short)
    (before,) = owned.rows("select pts from update_states where channel_id = 0")
    hold = await admin.add_fault("hold", method="messages.sendMessage", account=owned.owner, times=1)
    async with owned.world.telegram.person(phone=owned.phone) as person:
        await person.say("aigul", "message 1")
        assert "1" in (await person.wait_reply("aigul")).text
        await admin.wait_fault(hold.id, hits=1)
        await owned.runner.kill()
        assert owned.rows("select state from outbox") == [("attempted",)]
        with sqlite3.connect(owned.world.folder / "data" / "botfleet.sqlite3") as connection:
            connection.execute("update update_states set pts = ? where channel_id = 0", before)
        await owned.runner.start()
        await owned.wait_rows("select state, sent_message_id is null from outbox", [("sent", 0)])
        await owned.runner.wait_probe("/readyz", 200)
        await person.say("aigul", "message 2")
        assert "2" in (await person.wait_reply("aigul")).text
    assert owned.rows("select * from takeovers") == []
    assert owned.rows("select state, reason from inbox") == [("answered", None)] * 2
    assert len(await admin.messages(owned.phone, "aigul", incoming=True)) == 2


async def test_an_admin_pauses_and_resumes_a_bot_over_a_kill(world: World) -> None:
    admin, phone = await world.person(), await world.person()
    account = await world.telegram.admin.account(admin)
    runner = world.runner(ROOT / "examples/concierge.yaml", conversation={"debounceSeconds": 0})
    document = runner.manifest.read_text().replace("spec:\n", f"spec:\n  admins: [{account.id}]\n", 1)
    runner.manifest.write_text(document)
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    async with world.telegram.person(phone=admin) as boss, world.telegram.person(phone=phone) as person:
        await boss.say(world.username, "/pause")
        assert (await boss.wait_reply(world.username)).text.startswith("Paused")
        await runner.kill()
        await runner.start()
        await runner.wait_probe("/metrics", 200, "botfleet_runner_paused 1.0")
        await person.say(world.username, "message 5")
        await Owned(world, runner, admin, phone).wait_rows(
            "select state from inbox where text = 'message 5'", [("pending",)]
        )
        await boss.say(world.username, "/status")
        assert "Paused since" in (await boss.wait_reply(world.username)).text
        assert await world.telegram.admin.messages(phone, world.username, incoming=True) == []
        await boss.say(world.username, "/resume")
        assert "5" in (await person.wait_reply(world.username)).text


async def test_a_bot_shows_its_commands_at_telegram_and_says_them_once(world: World, concierge: Runner) -> None:
    admin = world.telegram.admin

    async def shown() -> bool:
        return {entry["command"] for entry in (await admin.account(world.username)).commands} == {
            "start",
            "stop",
            "forget",
            "help",
        }

    async def noted() -> bool:
        return "commands_shown" in concierge.log.read_text()

    await until_async(shown)
    await until_async(noted)  # who ends between the two says the same once more
    await concierge.stop()
    await concierge.start()
    phone = await world.person()
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "message 6")
        await person.wait_reply(world.username)
    assert await admin.call_count("bots.setBotCommands", world.username) == 1


@pytest.mark.parametrize("fault", ["FLOOD_WAIT_600", "hang"])
async def test_a_menu_that_telegram_refuses_costs_no_answer(world: World, fault: str) -> None:
    admin = world.telegram.admin
    if fault == "hang":
        await admin.add_fault("hold", method="bots.setBotCommands", times=9, before=True)
    else:
        await admin.add_fault("error", method="bots.setBotCommands", times=9, message=fault)
    runner = world.runner(ROOT / "examples/concierge.yaml", conversation={"debounceSeconds": 0})
    await runner.start()
    await admin.wait_for_call("bots.setBotCommands", account=world.username)
    async with world.telegram.person(phone=await world.person()) as person:
        await person.say(world.username, "message 7")
        assert "7" in (await person.wait_reply(world.username)).text
    assert await runner.stop() == 0

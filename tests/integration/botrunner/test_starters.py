"""A real `botrunner` process that writes first after a silence, once over a kill."""

import sqlite3

import pytest

from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, Runner
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)  # a real process on a machine with other work to do

ALWAYS = {
    "timeZone": "Asia/Bishkek",
    "workingHours": [{"days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "from": "00:00", "to": "00:00"}],
}
TIMES = {"inbox": ("date", "received_at"), "messages": ("date",), "outbox": ("created_at", "attempted_at", "closed_at")}


def starting(world: World) -> Runner:
    return world.runner(
        ROOT / "examples/concierge.yaml",
        conversation={"debounceSeconds": 0},
        schedule=ALWAYS,
        proactive={"enabled": True, "prompt": "Ask how the stay was.", "afterSilenceHours": 1},
    )


def slept(world: World, hours: int = 2) -> None:
    """As if so much time had passed while the runner was away."""
    with sqlite3.connect(world.folder / "data" / "botfleet.sqlite3") as connection:
        for table, columns in TIMES.items():
            for column in columns:
                connection.execute(f"update {table} set {column} = datetime({column}, '-{hours} hours')")  # noqa: S608


def stored(world: World, cause: str) -> list[tuple[str]]:
    """How what was to be sent for such causes stands."""
    file = world.folder / "data" / "botfleet.sqlite3"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        return connection.execute("select state from outbox where cause like ?", (cause,)).fetchall()


async def test_a_bot_writes_first_after_a_silence_and_once_over_a_kill(world: World) -> None:
    runner, phone = starting(world), await world.person()
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    admin = world.telegram.admin
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "message 1")
        await person.wait_reply(world.username)
        # It has arrived before that is noted; sent again after the kill, it would be what is held.
        await until(lambda: stored(world, "reply:%") == [("sent",)])
        await runner.kill()
        slept(world)
        hold = await admin.add_fault("hold", method="messages.sendMessage", times=1)
        await runner.start()
        await admin.wait_fault(hold.id, hits=1)
        await runner.kill()
        assert stored(world, "starter:%") == [("attempted",)], "it has arrived, and nobody knows"
        await runner.start()
        await until(lambda: stored(world, "starter:%") == [("sent",)])
        await person.say(world.username, "message 2")
        assert "2" in (await person.wait_replies(world.username, 3))[2].text
    assert len(await admin.messages(phone, world.username, incoming=True)) == 3

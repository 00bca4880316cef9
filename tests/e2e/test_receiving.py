"""Promise to a bot owner: a bot that is connected and to which nothing comes is seen with `kubectl`, and cures itself."""

import asyncio

from tests.e2e.conftest import REPLY_SECONDS, Fleet, named_once, wait_for

TOLD_SECONDS = 120.0


def line(fleet: Fleet, namespace: str, name: str) -> tuple[str, ...]:
    """Phase, ready and receiving, as kubectl shows them."""
    return tuple(fleet.kubectl("-n", namespace, "get", "telegrambot", name, "--no-headers").split()[1:4])


async def test_a_bot_to_which_nothing_comes_is_shown_as_deaf_and_answers_all_the_same(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("support")
    others = [other for other in fleet.simulation.bots if other.name != bot.name]

    async def shown(*wanted: str) -> None:
        def as_wanted() -> bool | None:
            return True if line(fleet, bot.namespace, bot.name) == wanted else None

        await asyncio.to_thread(
            wait_for, as_wanted, TOLD_SECONDS, lambda: f"shown: {line(fleet, bot.namespace, bot.name)}"
        )

    await shown("Running", "True", "True")
    who = await fleet.new_person(9)
    async with fleet.person(who) as person:
        await fleet.telegram.add_fault("silence", account=bot.username)
        await person.say(bot.username, "message 7001")
        await shown("Degraded", "True", "False")
        condition = fleet.condition(bot.namespace, bot.name, "Receiving")
        assert condition is not None
        assert condition["reason"] == "Deaf"
        assert "kubectl" in condition["message"]
        assert "7001" in (await person.wait_reply(bot.username, timeout=REPLY_SECONDS)).text, "while the silence lasts"
        await fleet.telegram.clear_faults()
        await shown("Running", "True", "True")
        await person.say(bot.username, "message 7002")
        await named_once(fleet, who.id, bot.username, [7001, 7002])
    for other in others:
        assert line(fleet, other.namespace, other.name) == ("Running", "True", "True")

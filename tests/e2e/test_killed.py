"""Promises under kill -9: by the receiver's count, each message is answered exactly once and in order."""

import asyncio
from typing import Any

from botfleet_tools.errors import ToolError
from botfleet_tools.platform import simulated
from botfleet_tools.platform.pods import kill9, pod_of, restarts
from tests.e2e.conftest import Fleet, named_once, wait_for

LOADED_SECONDS = 15  # what a runner takes to load and to end, on a busy machine
FAULT_SECONDS = 120  # until a bot comes as far as a fault that waits for it


async def restarted(fleet: Fleet, namespace: str, bot: str, count: int) -> None:
    await asyncio.to_thread(
        wait_for,
        lambda: True if restarts(fleet.cluster, namespace, bot) >= count else None,
        120,
        lambda: f"{namespace}/{bot} was not started again",
    )


async def killed(fleet: Fleet, namespace: str, bot: str) -> None:
    """SIGKILL to the container that runs now. Which one that is kubelet tells a moment after its start."""

    def done() -> int | None:
        try:
            return kill9(fleet.cluster, namespace, bot) or None
        except (KeyError, IndexError, ToolError):
            return None

    await asyncio.to_thread(wait_for, done, 60, lambda: f"{namespace}/{bot} has no container that could be killed")


async def test_a_runner_killed_in_mid_conversation_answers_each_message_once_and_in_order(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("concierge")
    before = restarts(fleet.cluster, bot.namespace, bot.name)
    one, two = await fleet.new_person(11), await fleet.new_person(12)
    numbers = list(range(5001, 5025))
    async with fleet.person(one) as first, fleet.person(two) as second:
        hold = await fleet.model.add_fault("hold", key=bot.model_key, times=1)
        for number in numbers:
            await first.say(bot.username, f"message {number}")
            await second.say(bot.username, f"message {number + 1000}")
            if number == 5006:  # the model is being asked: killed in mid-generation
                await fleet.model.wait_fault(hold.id, hits=1, timeout=FAULT_SECONDS)
                await killed(fleet, bot.namespace, bot.name)
                await fleet.model.remove_fault(hold.id)
            if number == 5016:  # replies are on their way: killed while sending
                drop = await fleet.telegram.add_fault(
                    "hold", method="messages.sendMessage", account=bot.username, times=1
                )
                await fleet.telegram.wait_fault(drop.id, hits=1, timeout=FAULT_SECONDS)
                await killed(fleet, bot.namespace, bot.name)
                await fleet.telegram.remove_fault(drop.id)
            await asyncio.sleep(0.2)
        await named_once(fleet, one.id, bot.username, numbers)
        await named_once(fleet, two.id, bot.username, [number + 1000 for number in numbers])
    await restarted(fleet, bot.namespace, bot.name, before + 2)


def lab_bot(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "botfleet.dev/v1alpha1",
        "kind": "TelegramBot",
        "metadata": {"name": name, "namespace": "lab"},
        "spec": {
            "account": {
                "type": "Bot",
                "apiCredentialsSecretRef": {"name": "telegram-app"},
                "botTokenSecretRef": {"name": name, "key": "token"},
            },
            "persona": {"prompt": f"You are {name}."},
            "model": {"name": "gpt-5-mini", "apiKeySecretRef": {"name": name, "key": "api-key"}},
            "conversation": {"debounceSeconds": 0},
        },
    }


async def lab(fleet: Fleet, name: str, *, token: str | None = None) -> str:
    """A new bot account in a namespace of its own; returns its username."""
    key = fleet.simulation.bots[0].model_key
    username = f"{name.replace('-', '_')}_bot"
    account = await fleet.telegram.create_bot(username, name=name)
    token = token or str(account.token)
    fleet.planted[f"token of {name}"] = token.partition(":")[2]
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lab"}},
        simulated.secret(
            "lab", "telegram-app", {"api-id": "12345", "api-hash": fleet.simulation.api_hash}, usable=True
        ),
        simulated.secret("lab", simulated.SERVER_SECRET, {"public.pem": fleet.simulation.public_key}, usable=True),
        simulated.secret("lab", name, {"token": token, "api-key": key}, usable=True),
    ]
    simulated.apply(fleet.cluster, *objects)
    return username


async def test_killed_between_the_first_login_and_the_storing_of_its_key_a_bot_goes_on_with_that_key(
    fleet: Fleet,
) -> None:
    username = await lab(fleet, "newcomer")
    hold = await fleet.telegram.add_fault("hold", method="auth.importBotAuthorization", times=1)
    simulated.apply(fleet.cluster, lab_bot("newcomer"))
    # Telegram has accepted; the bot does not know it yet.
    await fleet.telegram.wait_fault(hold.id, hits=1, timeout=FAULT_SECONDS)
    who = await fleet.new_person(13)
    async with fleet.person(who) as person:
        # Nothing is promised for what is written before the bot's first sight of the account; it may be answered, once.
        await person.say(username, "message 8000")
        await killed(fleet, "lab", "newcomer")
        await fleet.telegram.remove_fault(hold.id)
        await asyncio.to_thread(fleet.wait_condition, "lab", "newcomer", "Ready", "True")
        authorized = [s for s in await fleet.telegram.sessions(username) if s.account_id is not None]
        assert len(authorized) == 1, "a second login would have made a second session"
        numbers = list(range(8001, 8011))
        for number in numbers:
            await person.say(username, f"message {number}")
        await named_once(fleet, who.id, username, numbers)
        early = [
            reply for reply in await fleet.telegram.messages(who.id, username, incoming=True) if "8000" in reply.text
        ]
        assert len(early) <= 1
    assert await fleet.telegram.call_count("auth.importBotAuthorization", username) <= 2


async def test_a_pod_that_is_deleted_while_its_runner_still_loads_is_gone_long_before_its_grace_is_over(
    fleet: Fleet,
) -> None:
    bot = fleet.simulation.bot("support")
    pod = pod_of(fleet.cluster, bot.namespace, bot.name)
    assert pod["spec"]["terminationGracePeriodSeconds"] > 2 * LOADED_SECONDS
    before = restarts(fleet.cluster, bot.namespace, bot.name)
    await killed(fleet, bot.namespace, bot.name)
    await restarted(fleet, bot.namespace, bot.name, before + 1)
    await asyncio.to_thread(
        fleet.kubectl, "-n", bot.namespace, "delete", "pod", pod["metadata"]["name"], f"--timeout={LOADED_SECONDS}s"
    )
    who = await fleet.new_person(14)
    async with fleet.person(who) as person:
        await person.say(bot.username, "message 8101")
        await named_once(fleet, who.id, bot.username, [8101])

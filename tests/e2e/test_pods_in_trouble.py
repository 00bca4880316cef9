"""Promises when the node does not let a runner run: the condition says why and what to do, and the bot comes back by itself."""

import asyncio
from typing import Any

from botfleet_tools.platform import simulated
from tests.e2e.conftest import READY_SECONDS, REPLY_SECONDS, Fleet
from tests.e2e.test_killed import killed, lab, lab_bot, restarted
from tests.support.watching import Event

HUGE = {"requests": {"memory": "64Ti"}}  # more than any node has
TINY = {"requests": {"memory": "48Mi"}, "limits": {"memory": "48Mi"}}  # its libraries alone need more


def with_resources(name: str, resources: dict[str, Any]) -> dict[str, Any]:
    bot = lab_bot(name)
    return bot | {"spec": bot["spec"] | {"workload": {"resources": resources}}}


def crash_looping(event: Event) -> bool:
    ready = event.condition("Ready")
    return ready is not None and (ready["status"], ready["reason"]) == ("False", "CrashLooping")


async def test_no_node_no_memory_and_a_crash_loop_are_told_as_such_and_are_over_when_their_cause_is(
    fleet: Fleet,
) -> None:
    username = await lab(fleet, "squeezed")

    async def told(reason: str) -> str:
        seen = await asyncio.to_thread(fleet.wait_condition, "lab", "squeezed", "Ready", "False", reason)
        return str(seen["message"])

    simulated.apply(fleet.cluster, with_resources("squeezed", HUGE))
    assert "kubectl -n lab describe pods -l botfleet.dev/bot=squeezed" in await told("Unschedulable")

    simulated.apply(fleet.cluster, with_resources("squeezed", TINY))
    assert "spec.workload.resources.limits.memory" in await told("OutOfMemory")

    simulated.apply(fleet.cluster, lab_bot("squeezed"))
    await asyncio.to_thread(fleet.wait_condition, "lab", "squeezed", "Ready", "True")
    await killed(fleet, "lab", "squeezed")
    await restarted(fleet, "lab", "squeezed", 1)  # at once, the first time; then kubelet waits
    with fleet.watching("lab", "telegrambot", "squeezed") as watch:
        await killed(fleet, "lab", "squeezed")
        # It is so until kubelet's first wait is over, a few seconds: whoever asks now and then may come too late.
        seen = await asyncio.to_thread(watch.first, crash_looping, READY_SECONDS, "Ready=False CrashLooping")
        ready = seen.condition("Ready")
    assert ready is not None
    assert "kubectl -n lab logs deployment/squeezed --previous" in ready["message"]

    who = await fleet.new_person(31)
    async with fleet.person(who) as person:
        await person.say(username, "message 9001")
        assert "9001" in (await person.wait_reply(username, timeout=REPLY_SECONDS)).text
    await asyncio.to_thread(fleet.wait_condition, "lab", "squeezed", "Ready", "True")

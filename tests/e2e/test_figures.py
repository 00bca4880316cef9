"""How quick and how large: printed with every run, on whatever machine it is; only what no machine should miss is asserted."""

import asyncio
import time
from pathlib import Path

import pytest

from botfleet_tools.platform import simulated
from botfleet_tools.platform.pods import processes
from tests.e2e.conftest import REPLY_SECONDS, Fleet
from tests.e2e.test_killed import lab, lab_bot

SAMPLES = 3


def mebibytes(process: int, field: str) -> float:
    """A figure of /proc/PID/smaps_rollup."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    (kibibytes,) = [int(line.split()[1]) for line in lines if line.startswith(f"{field}:")]
    return kibibytes / 1024


async def test_a_bot_is_ready_and_answers_within_seconds_of_kubectl_apply(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    ready, answered, size = [], [], []
    for number in range(SAMPLES):
        name = f"quick-{number}"
        username = await lab(fleet, name)
        who = await fleet.new_person(60 + number)
        async with fleet.person(who) as person:
            started = time.monotonic()
            simulated.apply(fleet.cluster, lab_bot(name))
            await asyncio.to_thread(fleet.wait_condition, "lab", name, "Ready", "True")
            ready.append(time.monotonic() - started)
            await person.say(username, "message 9301")
            assert "9301" in (await person.wait_reply(username, timeout=REPLY_SECONDS)).text
            answered.append(time.monotonic() - started)
        runner = max(processes(fleet.cluster, "lab", name), key=lambda process: mebibytes(process, "Rss"))
        size.append((mebibytes(runner, "Rss"), mebibytes(runner, "Pss")))
        fleet.kubectl("-n", "lab", "delete", "telegrambot", name, "--timeout=30s")
    with capsys.disabled():
        print(f"\n  apply -> Ready          {' '.join(f'{seconds:.1f}' for seconds in ready)} s")
        print(f"  apply -> first answer   {' '.join(f'{seconds:.1f}' for seconds in answered)} s (debounce 0)")
        print(f"  runner's memory         {' '.join(f'{rss:.0f}/{pss:.0f}' for rss, pss in size)} MiB (RSS/PSS)")
    assert max(answered) < 30
    assert max(rss for rss, _ in size) < 250

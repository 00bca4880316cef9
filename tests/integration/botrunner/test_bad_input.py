"""Too much and too old, at a real process: each has a clear outcome, and costs neither memory nor a crash."""

import asyncio
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, Runner

pytestmark = pytest.mark.timeout(600)  # a real process on a machine with other work to do
QUEUED = 100_000
CHATS = 200
SECONDS = 240.0
MIB = 1024


def peak_kib(runner: Runner) -> int:
    """The most memory that the process has had resident."""
    status = Path(f"/proc/{runner.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))  # type: ignore[union-attr]


async def metric(runner: Runner, name: str) -> float:
    """One number of /metrics; 0 when it is not there yet."""
    _, text = await runner.get("/metrics")
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


async def started(world: World) -> Runner:
    runner = world.runner(ROOT / "examples/concierge.yaml", conversation={"debounceSeconds": 0})
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    return runner


def queue(database: Path, count: int) -> None:
    """Messages that came in a week ago and were not answered, as a runner stores them."""
    long_ago = datetime.now(UTC) - timedelta(days=7)
    with sqlite3.connect(database) as store:
        bot_id, account_id = store.execute("select bot_id, account_id from accounts").fetchone()
        stamp = long_ago.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        store.executemany(
            "insert into inbox (bot_id, account_id, peer_id, message_id, sender_id, text, date, trace_id, received_at)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    bot_id,
                    account_id,
                    900_000 + n % CHATS,
                    1_000_000 + n,
                    900_000 + n % CHATS,
                    "x" * 200,
                    stamp,
                    "t",
                    stamp,
                )
                for n in range(count)
            ),
        )
    store.close()


async def test_a_hundred_thousand_messages_that_waited_for_a_week_are_closed_as_too_old_in_flat_memory(
    world: World,
) -> None:
    """Counted by the reason, and meanwhile somebody who writes now is answered."""
    runner = await started(world)
    idle = peak_kib(runner)
    await runner.stop()
    await asyncio.to_thread(queue, world.folder / "data/botfleet.sqlite3", QUEUED)
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    phone = await world.person()
    await world.telegram.admin.send_message(phone, world.username, "message 41")
    await world.telegram.admin.wait_messages(phone, world.username, incoming=True, contains="41", timeout=SECONDS)
    counter = 'botfleet_runner_messages_skipped_total{reason="TooOld"}'
    peaks = []
    for count in (QUEUED // 2, QUEUED):
        async with asyncio.timeout(SECONDS):
            while await metric(runner, counter) < count:  # noqa: ASYNC110 -- of another process
                await asyncio.sleep(0.2)
        peaks.append(peak_kib(runner))
    assert await metric(runner, counter) == QUEUED
    # Every chat's worker has a page of 200 rows in hand: that is a bound, whatever waits behind the page.
    assert peaks[0] < idle + 64 * MIB
    assert peaks[1] < peaks[0] + 8 * MIB
    assert await world.telegram.admin.call_count("messages.sendMessage", world.username) == 1
    with sqlite3.connect(world.folder / "data/botfleet.sqlite3") as store:
        told = store.execute("select state, reason, count(*) from inbox group by 1, 2 order by 3").fetchall()
    store.close()
    assert told == [("answered", None, 1), ("skipped", "TooOld", QUEUED)]
    assert await runner.stop() == 0


async def test_a_persons_session_that_was_cut_in_half_is_told_and_waited_for_without_a_crash(world: World) -> None:
    owner = await world.person()
    session = await world.telegram.admin.create_session(owner)
    world.secret("assistant-session/session", session[: len(session) // 2])
    runner = world.runner(ROOT / "examples/person.yaml", model={"baseUrl": world.model.base_url})
    await runner.start()
    await runner.wait_probe("/readyz", 503, "SessionInvalid")
    await runner.wait_probe("/livez", 200)
    world.secret("assistant-session/session", session)
    await runner.wait_probe("/readyz", 200)
    assert await runner.stop() == 0


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("telegram-app/api-id", "not-a-number", "api-id must be a number"),
        ("concierge/token", None, "concierge/token: cannot be read"),
    ],
)
async def test_alone_a_secret_that_cannot_be_used_ends_the_start_with_its_name(
    world: World, path: str, value: str | None, reason: str
) -> None:
    if value is None:  # a link to itself: nobody can read it, not even root
        (world.folder / "secrets" / path).unlink()
        (world.folder / "secrets" / path).symlink_to(world.folder / "secrets" / path)
    else:
        world.secret(path, value)
    runner = world.runner(ROOT / "examples/concierge.yaml")
    await runner.start()
    assert await runner.ended() == 2
    log = runner.log.read_text()
    assert reason in log
    assert "Traceback" not in log


async def test_an_api_id_that_telegram_does_not_know_is_told_and_waited_for_without_a_crash(world: World) -> None:
    fault = await world.telegram.admin.add_fault("error", method="help.getConfig", message="API_ID_INVALID", times=None)
    runner = world.runner(ROOT / "examples/concierge.yaml")
    await runner.start()
    await runner.wait_probe("/readyz", 503, "ApiCredentialsInvalid")
    await runner.wait_probe("/livez", 200)
    await world.telegram.admin.remove_fault(fault.id)
    world.secret("telegram-app/api-id", "54321")
    await runner.wait_probe("/readyz", 200)
    assert await runner.stop() == 0


async def test_a_manifest_of_a_newer_version_is_refused_with_the_version_that_is_known(world: World) -> None:
    text = (ROOT / "examples/concierge.yaml").read_text().replace("botfleet.dev/v1alpha1", "botfleet.dev/v1")
    (world.folder / "newer.yaml").write_text(text)
    runner = world.runner(world.folder / "newer.yaml")
    await runner.start()
    assert await runner.ended() == 2
    assert "v1alpha1" in runner.log.read_text()
    assert "Traceback" not in runner.log.read_text()

"""Promises of the logs: after all that the other tests did (this file comes last), they hold no secret and no word of anybody."""

import asyncio
import json
from functools import partial

from botfleet_tools.platform.pods import pod_of
from tests.e2e.conftest import Fleet, named_once, wait_for
from tests.e2e.logs import Kept
from tests.e2e.searching import command_lines_of_pods, finds_all, search, secrets_of, words_of
from tests.e2e.test_killed import killed

READ_SECONDS = 40.0  # until a log that has ended is read to its end


async def wanted(fleet: Fleet) -> dict[str, str]:
    """What is searched for. Both halves are known to hold what was put there."""
    secrets = secrets_of(fleet.kubectl, fleet.simulation) | fleet.planted
    assert {f"token of {bot.name}" for bot in fleet.simulation.bots} <= set(secrets)
    assert {"botfleet-system/botfleet-postgres superuser-password", "hotel/spa-botfleet database-password"} <= set(
        secrets
    )
    words = await words_of(fleet.telegram, fleet.model)
    assert any("You are the spa desk" in word for word in words)
    everything = secrets | words
    assert finds_all(everything)
    return everything


async def test_a_killed_container_and_a_pod_that_is_gone_leave_their_logs_to_be_searched(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("spa")
    pod = pod_of(fleet.cluster, "hotel", "spa")["metadata"]
    who = await fleet.new_person(71)
    async with fleet.person(who) as person:
        await person.say(bot.username, "message 7101")
        await named_once(fleet, who.id, bot.username, [7101])
        await killed(fleet, "hotel", "spa")
        await person.say(bot.username, "message 7102")
        await named_once(fleet, who.id, bot.username, [7101, 7102])
    fleet.kubectl("-n", "hotel", "rollout", "restart", "deployment/spa")
    status = ("rollout", "status", "deployment/spa", "--timeout=180s")
    fleet.kubectl("-n", "hotel", *status, deadline_seconds=190)
    await asyncio.to_thread(
        wait_for,
        lambda: fleet.kubectl("-n", "hotel", "get", "pod", pod["name"], "--ignore-not-found") == "" or None,
        120,
        lambda: "the former pod is still there",
    )
    logs = [log for log in fleet.logs.kept() if log.pod_uid == pod["uid"] and log.container == "runner"]
    assert all(log.ended.wait(READ_SECONDS) for log in logs)
    dead, stopped = logs[-2:]
    assert '"event": "starting"' in dead.text
    assert '"event": "stopped"' not in dead.text
    assert '"event": "starting"' in stopped.text
    assert '"event": "stopped"' in stopped.text.splitlines()[-1]
    assert '"event": "reply_sent"' in dead.text
    assert '"event": "reply_sent"' in stopped.text
    assert {log.path for log in (dead, stopped)} <= {log.path for log in fleet.logs.removed()}


def begins(log: Kept, there: str) -> bool | None:
    return log.text.startswith(there) or None


def test_the_log_of_every_container_of_the_run_was_kept_to_its_end(fleet: Fleet) -> None:
    assert fleet.logs.problems() == []
    removed = {log.path for log in fleet.logs.removed()}
    for log in fleet.logs.kept():
        if log.path in removed:
            assert log.ended.wait(READ_SECONDS), f"{log} is gone and its log is still being read"
        elif not log.ended.is_set():
            there = fleet.logs.current(log)
            wait_for(
                partial(begins, log, there),
                READ_SECONDS,
                partial("{}: a part is missing".format, log),
            )


async def test_no_log_holds_a_secret_or_a_message(fleet: Fleet) -> None:
    product = {str(log.path.name): log.text for log in fleet.logs.kept() if log.namespace != "simulated"}
    for part in ("concierge", "spa", "support", "operator", "migrate", "bootstrap", "postgres", "redis"):
        assert any(part in name and text for name, text in product.items()), f"no log of {part} was kept"
    assert search(product, await wanted(fleet)) == []


async def test_no_event_no_status_and_no_command_line_holds_a_secret_or_a_message(fleet: Fleet) -> None:
    bots = json.loads(fleet.kubectl("get", "telegrambots", "-A", "-o", "json"))["items"]
    assert any(bot["status"]["conditions"] for bot in bots)
    texts = {f"status of {bot['metadata']['name']}": json.dumps(bot["status"]) for bot in bots}
    texts["events"] = fleet.kubectl("get", "events", "-A", "-o", "json")
    texts["pods"] = fleet.kubectl("get", "pods", "-A", "-l", "botfleet.dev/bot", "-o", "json")
    texts |= command_lines_of_pods()
    assert any("botrunner" in text for name, text in texts.items() if name.startswith("process"))
    public = {"'aigul_asanova'"}  # an account's own name, which its status shows on purpose
    found = search(texts, {what: value for what, value in (await wanted(fleet)).items() if what not in public})
    assert found == []


# Somebody had to look, and did: test_operator has a roll-out stopped by an image that is not there.
ON_PURPOSE = '"event": "rollout_halted"'


# What an operator says while PostgreSQL is killed, while another one leads, and while the first migrations run.
OUTAGES = {
    *("comparison_failed", "health_unreadable", "reconcile_failed", "step_failed", "users_not_checked"),
    *("leader_election_failed", "leader_renewal_failed", "waiting_at_the_start", "watch_failed"),
    *("waiting_for_crd", "waiting_for_installation_key"),
}

CANCELLED_START = "Startup activity is only partially executed due to cancellation."


def operator_lines(fleet: Fleet) -> list[str]:
    """Those that are read to their end: one that goes on writes its last while it is read."""
    texts = [log.text.rpartition("\n")[0] for log in fleet.logs.kept() if log.container == "operator"]
    return [line for text in texts for line in text.splitlines()]


def test_an_error_line_of_the_operator_would_mean_that_a_person_should_look(fleet: Fleet) -> None:
    lines = [
        line
        for line in operator_lines(fleet)
        if ('"level": "error"' in line and ON_PURPOSE not in line) or "Traceback" in line
    ]
    assert lines == []


def test_the_operator_warns_of_the_outages_that_there_were_and_of_nothing_else(fleet: Fleet) -> None:
    warnings = [json.loads(line) for line in operator_lines(fleet) if '"level": "warning"' in line]
    # A follower waits for its turn in kopf's start-up activity; that is cancelled when it is asked to end, and two of
    # kopf's loggers say so.
    warnings = [line for line in warnings if line["logger"] != "kopf.activities.startup"]
    assert [line for line in warnings if line["event"] not in {*OUTAGES, CANCELLED_START}] == []

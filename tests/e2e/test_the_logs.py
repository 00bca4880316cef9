"""Promises of the logs: after all that the other tests did (this file comes last), they hold no secret and no word of anybody."""

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from botfleet_tools.platform.pods import kill9, pod_of
from tests.e2e.conftest import Fleet, wait_for
from tests.e2e.test_killed import restarted

SHORTEST = 8  # characters: what is shorter, as "/stop", is found in any log by chance
SECRET_KEYS = re.compile(r"password|key|token|hash|session")


def secrets_of(fleet: Fleet) -> dict[str, str]:
    """Every secret of the run by what it is: accounts, model keys, what a test planted, and all Secrets that there are."""
    out = {f"token of {bot.name}": bot.token.partition(":")[2] for bot in fleet.simulation.bots}
    out |= {f"model key of {bot.name}": bot.model_key for bot in fleet.simulation.bots}
    out["api hash"] = fleet.simulation.api_hash
    out |= fleet.planted
    for secret in json.loads(fleet.kubectl("get", "secrets", "-A", "-o", "json"))["items"]:
        for key, value in (secret.get("data") or {}).items():
            text = base64.b64decode(value).decode(errors="replace").strip()
            if SECRET_KEYS.search(key) and key != "public.pem" and len(text) >= 16:
                out[f"{secret['metadata']['namespace']}/{secret['metadata']['name']} {key}"] = text
    return out


async def said(fleet: Fleet) -> set[str]:
    """Every line that a person or a bot wrote or that the model was asked, and who the people are."""
    words: list[str] = []
    for account in await fleet.telegram.accounts():
        if account.kind != "bot":
            words += [account.name, account.username or "", account.phone or "", (account.phone or "").lstrip("+")]
            words += [message.text for message in await fleet.telegram.messages(account.id)]
    for request in await fleet.model.requests():
        words += [str(message["content"]) for message in request.messages]
    return {line.strip() for text in words for line in text.splitlines() if len(line.strip()) >= SHORTEST}


def search(texts: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """What is found where, as it is or as JSON writes it."""
    forms = {
        what: {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        for what, value in wanted.items()
    }
    return [
        f"{what} in {name}"
        for name, text in texts.items()
        for what, spellings in forms.items()
        if any(spelling in text for spelling in spellings)
    ]


async def wanted(fleet: Fleet) -> dict[str, str]:
    return secrets_of(fleet) | {repr(line): line for line in await said(fleet)}


def command_lines() -> dict[str, str]:
    """Of every process of this machine; those of the node's pods are among them, with either provider."""
    out = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                text = (process / "cmdline").read_text(errors="replace")
                out[f"process {process.name}"] = text.replace("\0", " ")
    return out


async def test_a_killed_container_and_a_pod_that_is_gone_leave_their_logs_to_be_searched(fleet: Fleet) -> None:
    pod = pod_of(fleet.cluster, "hotel", "spa")["metadata"]
    assert kill9(fleet.cluster, "hotel", "spa")
    await restarted(fleet, "hotel", "spa", 1)
    await asyncio.to_thread(fleet.wait_condition, "hotel", "spa", "Ready", "True")
    fleet.kubectl("-n", "hotel", "rollout", "restart", "deployment/spa")
    fleet.kubectl("-n", "hotel", "rollout", "status", "deployment/spa", "--timeout=50s")
    await asyncio.to_thread(
        wait_for,
        lambda: fleet.kubectl("-n", "hotel", "get", "pod", pod["name"], "--ignore-not-found") == "" or None,
        30,
        lambda: "the former pod is still there",
    )
    logs = [log for log in fleet.logs.kept() if log.pod_uid == pod["uid"] and log.container == "runner"]
    assert all(log.ended.wait(10) for log in logs)
    killed, stopped = logs[-2:]
    assert '"event": "starting"' in killed.text
    assert '"event": "stopped"' not in killed.text
    assert '"event": "starting"' in stopped.text
    assert '"event": "stopped"' in stopped.text.splitlines()[-1]
    assert {log.path for log in (killed, stopped)} <= {log.path for log in fleet.logs.removed()}


def test_the_log_of_every_container_of_the_run_was_kept_to_its_end(fleet: Fleet) -> None:
    assert fleet.logs.problems() == []
    removed = {log.path for log in fleet.logs.removed()}
    for log in fleet.logs.kept():
        if log.path in removed:
            assert log.ended.wait(10), f"{log} is gone and its log is still being read"
        elif not log.ended.is_set():
            there = fleet.logs.current(log)
            wait_for(
                lambda log=log, there=there: log.text.startswith(there) or None,
                10,
                lambda log=log: f"{log}: a part is missing",
            )


async def test_no_log_holds_a_secret_or_a_message(fleet: Fleet) -> None:
    product = {str(log.path.name): log.text for log in fleet.logs.kept() if log.namespace != "simulated"}
    for part in ("concierge", "spa", "support", "operator", "migrate", "bootstrap", "postgres", "redis"):
        assert any(part in name and text for name, text in product.items()), f"no log of {part} was kept"
    planted = await wanted(fleet)
    assert len(planted) > 30
    assert len(search({"control": json.dumps(list(planted.values()))}, planted)) == len(planted)
    assert search(product, planted) == []


async def test_no_event_no_status_and_no_command_line_holds_a_secret_or_a_message(fleet: Fleet) -> None:
    bots = json.loads(fleet.kubectl("get", "telegrambots", "-A", "-o", "json"))["items"]
    assert any(bot["status"]["conditions"] for bot in bots)
    texts = {f"status of {bot['metadata']['name']}": json.dumps(bot["status"]) for bot in bots}
    texts["events"] = fleet.kubectl("get", "events", "-A", "-o", "json")
    texts["pods"] = fleet.kubectl("get", "pods", "-A", "-l", "botfleet.dev/bot", "-o", "json")
    texts |= command_lines()
    assert any("botrunner" in text for name, text in texts.items() if name.startswith("process"))
    public = {"'aigul_asanova'"}  # an account's own name, which its status shows on purpose
    found = search(texts, {what: value for what, value in (await wanted(fleet)).items() if what not in public})
    assert found == []


def test_an_error_line_of_the_operator_would_mean_that_a_person_should_look(fleet: Fleet) -> None:
    lines = [
        line
        for log in fleet.logs.kept()
        if log.container == "operator"
        for line in log.text.splitlines()
        if '"level": "error"' in line or "Traceback" in line
    ]
    assert lines == []

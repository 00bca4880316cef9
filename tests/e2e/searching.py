"""What must be in no log, no event and no status: every secret of an installation, and every word that was said there."""

import base64
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from botfleet_simulator.client import ModelAdmin, TelegramAdmin
from botfleet_tools.platform.simulated import Simulation

SHORTEST = 8  # characters: what is shorter, as "/stop", is found in any log by chance
SECRET_KEYS = re.compile(r"password|key|token|hash|session")

Wanted = Mapping[str, str]


def secrets_of(kubectl: Callable[..., str], simulation: Simulation) -> dict[str, str]:
    """Every secret by what it is: the accounts', the model keys, and what all Secrets of the cluster hold."""
    out = {f"token of {bot.name}": bot.token.partition(":")[2] for bot in simulation.bots}
    out |= {f"model key of {bot.name}": bot.model_key for bot in simulation.bots}
    out["api hash"] = simulation.api_hash
    for secret in json.loads(kubectl("get", "secrets", "-A", "-o", "json"))["items"]:
        for key, value in (secret.get("data") or {}).items():
            text = base64.b64decode(value).decode(errors="replace").strip()
            if SECRET_KEYS.search(key) and key != "public.pem" and len(text) >= 16:
                out[f"{secret['metadata']['namespace']}/{secret['metadata']['name']} {key}"] = text
    return out


async def words_of(telegram: TelegramAdmin, model: ModelAdmin) -> dict[str, str]:
    """Every line that a person or a bot wrote or that the model was asked, and who the people are."""
    words: list[str] = []
    for account in await telegram.accounts():
        if account.kind != "bot":
            words += [account.name, account.username or "", account.phone or "", (account.phone or "").lstrip("+")]
            words += [message.text for message in await telegram.messages(account.id)]
    for request in await model.requests():
        words += [str(message["content"]) for message in request.messages]
    lines = {line.strip() for text in words for line in text.splitlines()}
    return {repr(line): line for line in lines if len(line) >= SHORTEST}


def search(texts: Mapping[str, str], wanted: Wanted) -> list[str]:
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


def finds_all(wanted: Wanted) -> bool:
    """Whether the search finds each of them where it is: what it does not find elsewhere is not there."""
    return len(search({"control": json.dumps(list(wanted.values()))}, wanted)) == len(wanted)


def command_lines_of_pods() -> dict[str, str]:
    """Of every process in a container; a node's pods are visible from its machine, with either provider."""
    out = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if "kubepods" in (process / "cgroup").read_text():
                    text = (process / "cmdline").read_text(errors="replace")
                    out[f"process {process.name}"] = text.replace("\0", " ")
    return out

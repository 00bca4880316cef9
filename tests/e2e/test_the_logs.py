"""Promises of the logs: after all that the other tests did (this file comes last), they hold no secret and no word of anybody."""

import base64
import json
import re

from tests.e2e.conftest import Fleet

PLANTED_WORDS = ("message 2001", "message 5001", "Noted:", "not write to you", "question 300")


def planted(fleet: Fleet) -> dict[str, str]:
    """Every secret of the run by what it is: accounts, model keys, and all Secrets that chart and operator made."""
    out = {f"token of {bot.name}": bot.token.partition(":")[2] for bot in fleet.simulation.bots}
    out |= {f"model key of {bot.name}": bot.model_key for bot in fleet.simulation.bots}
    out["api hash"] = fleet.simulation.api_hash
    secrets = json.loads(fleet.kubectl("get", "secrets", "-A", "-o", "json"))["items"]
    for secret in secrets:
        for key, value in (secret.get("data") or {}).items():
            text = base64.b64decode(value).decode(errors="replace").strip()
            if re.search(r"password|key|token|hash", key) and key != "public.pem" and len(text) >= 16:
                out[f"{secret['metadata']['namespace']}/{secret['metadata']['name']} {key}"] = text
    return out


def test_no_log_holds_a_secret_or_a_message(fleet: Fleet) -> None:
    fleet.keep_logs()
    logs = {path.name: path.read_text() for path in fleet.log_folder.iterdir()}
    product = {name: text for name, text in logs.items() if "-simulated-" not in name}
    for part in ("concierge", "spa", "support", "operator", "migrate", "bootstrap", "postgres", "redis"):
        assert any(part in name and text for name, text in product.items()), f"no log of {part} was kept"
    secrets = planted(fleet)
    assert len(secrets) > 15
    found = [f"{what} in {name}" for name, text in product.items() for what, value in secrets.items() if value in text]
    found += [f"{word!r} in {name}" for name, text in product.items() for word in PLANTED_WORDS if word in text]
    assert found == []


def test_an_error_line_of_the_operator_would_mean_that_a_person_should_look(fleet: Fleet) -> None:
    lines = [
        line
        for path in fleet.log_folder.iterdir()
        if "-operator-" in path.name
        for line in path.read_text().splitlines()
        if '"level": "error"' in line or "Traceback" in line
    ]
    assert lines == []

"""Promises when something is wrong: a condition that tells it, no crash loop, and a bot as soon as it is put right."""

import asyncio
import time
from typing import Any

import pytest
import yaml

from botfleet_tools.platform import simulated
from botfleet_tools.platform.pods import pod_of, restarts
from botfleet_tools.run import CommandFailedError
from tests.e2e.conftest import Fleet
from tests.e2e.test_killed import lab, lab_bot

CALM_SECONDS = 25.0  # a container that ends at once is started again after 0 s, 10 s and 20 s


def without_secret(fleet: Fleet, name: str) -> dict[str, Any]:
    """Takes the bot's Secret away; returns it as it was, to be applied again."""
    held = fleet.get("lab", "secret", name)
    fleet.kubectl("-n", "lab", "delete", "secret", name)
    again = simulated.secret("lab", name, {}, usable=True)
    again.update(data=held["data"])
    del again["stringData"]
    return again


async def test_a_missing_secret_is_named_and_its_appearance_is_noticed_within_three_seconds(fleet: Fleet) -> None:
    username = await lab(fleet, "patient")
    secret = without_secret(fleet, "patient")
    simulated.apply(fleet.cluster, lab_bot("patient"))
    seen = await asyncio.to_thread(fleet.wait_condition, "lab", "patient", "Accepted", "False", "SecretMissing")
    assert "Secret patient " in seen["message"]
    assert "token" in seen["message"]
    assert "kubectl -n lab create secret" in seen["message"]
    assert fleet.kubectl("-n", "lab", "get", "deployment", "patient", "--ignore-not-found") == "", (
        "nothing is half made"
    )

    seconds = await fleet.seconds_after(lambda: simulated.apply(fleet.cluster, secret), "lab", "patient", "Accepted")
    assert seconds <= 3
    await asyncio.to_thread(fleet.wait_condition, "lab", "patient", "Ready", "True")
    await fleet.telegram.wait_connections(username)


async def test_a_secret_without_the_label_is_named_with_the_command_that_helps_within_three_seconds(
    fleet: Fleet,
) -> None:
    await lab(fleet, "shy")
    secret = without_secret(fleet, "shy")
    simulated.apply(fleet.cluster, {**secret, "metadata": {"name": "shy", "namespace": "lab"}}, lab_bot("shy"))
    seen = await asyncio.to_thread(fleet.wait_condition, "lab", "shy", "Accepted", "False", "SecretNotLabelled")
    command = "kubectl -n lab label secret shy botfleet.dev/credentials=true"
    assert command in seen["message"]

    seconds = await fleet.seconds_after(lambda: fleet.kubectl(*command.split()[1:]), "lab", "shy", "Accepted")
    assert seconds <= 3
    await asyncio.to_thread(fleet.wait_condition, "lab", "shy", "Ready", "True")


async def test_a_token_that_telegram_refuses_is_told_without_a_crash_loop(fleet: Fleet) -> None:
    account = await fleet.telegram.create_bot("stranger_bot", name="stranger")
    identity = str(account.token).partition(":")[0]
    await lab(fleet, "refused", token=f"{identity}:AA-this-is-not-the-secret-part-of-it")
    before = await fleet.telegram.last_call()
    simulated.apply(fleet.cluster, lab_bot("refused"))
    await asyncio.to_thread(fleet.wait_condition, "lab", "refused", "Authorized", "False", "TokenInvalid")
    pod = pod_of(fleet.cluster, "lab", "refused")["metadata"]["uid"]
    calm = time.monotonic() + CALM_SECONDS
    while time.monotonic() < calm:
        assert restarts(fleet.cluster, "lab", "refused") == 0
        assert pod_of(fleet.cluster, "lab", "refused")["metadata"]["uid"] == pod
        ready = fleet.condition("lab", "refused", "Ready")
        assert ready is not None
        assert ready["status"] == "False"
        await asyncio.sleep(1)
    tries = await fleet.telegram.call_count("auth.importBotAuthorization", after=before)
    assert tries == 1, "a token that Telegram refused is not tried again"

    key = fleet.simulation.bots[0].model_key
    simulated.apply(
        fleet.cluster, simulated.secret("lab", "refused", {"token": str(account.token), "api-key": key}, usable=True)
    )
    await asyncio.to_thread(fleet.wait_condition, "lab", "refused", "Ready", "True")


async def test_a_way_that_the_installation_does_not_allow_is_named_and_makes_nothing(fleet: Fleet) -> None:
    await lab(fleet, "reaching")
    bot = lab_bot("reaching")
    beyond = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 22}]}
    asked = {"egress": [*simulated.BOT_DEFAULTS["network"]["egress"], beyond]}
    simulated.apply(fleet.cluster, bot | {"spec": bot["spec"] | {"network": asked}})
    seen = await asyncio.to_thread(fleet.wait_condition, "lab", "reaching", "Accepted", "False", "EgressNotAllowed")
    assert "spec.network.egress[1].to[0]" in seen["message"]
    made = fleet.kubectl(
        "-n", "lab", "get", "deployment,networkpolicy", "-l", "botfleet.dev/bot=reaching", "-o", "name"
    )
    assert made == "", "nothing is half made"

    simulated.apply(fleet.cluster, bot)
    await asyncio.to_thread(fleet.wait_condition, "lab", "reaching", "Ready", "True")
    policy = fleet.get("lab", "networkpolicy", "reaching")["spec"]
    assert policy["egress"][-1]["to"] == simulated.BOT_DEFAULTS["network"]["egress"][0]["to"], (
        "the installation's default"
    )


async def test_a_second_bot_with_the_same_account_is_refused_and_the_first_goes_on(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("support")
    await lab(fleet, "twin", token=bot.token)
    simulated.apply(fleet.cluster, lab_bot("twin"))
    seen = await asyncio.to_thread(fleet.wait_condition, "lab", "twin", "Accepted", "False", "AccountInUse")
    assert "support" not in seen["message"], "another namespace's bot is not named"
    assert fleet.kubectl("-n", "lab", "get", "deployment", "twin", "--ignore-not-found") == ""
    ready = fleet.condition(bot.namespace, bot.name, "Ready")
    assert ready is not None
    assert ready["status"] == "True"


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    # By the CRD …
    "root": ({"workload": {"securityContext": {"runAsUser": 0}}}, 'unknown field "spec.workload.securityContext"'),
    "lots": ({"workload": {"resources": {"limits": {"memory": "lots"}}}}, "spec.workload.resources.limits"),
    # … and by the installation's admission policy.
    "image": (
        {"workload": {"image": "evil.example/runner:1"}},
        "spec.workload.image is evil.example/runner:1, which this installation does not allow; allowed: localhost/botfleet/runner",
    ),
    "priority": (
        {"workload": {"priorityClassName": "system-cluster-critical"}},
        "spec.workload.priorityClassName is system-cluster-critical, which this installation does not allow; allowed: none.",
    ),
    "endpoint": (
        {"model": {"baseUrl": simulated.MODEL_URL.replace(".local:", ".local.evil.example:")}},
        f"which this installation does not allow; allowed: {simulated.MODEL_URL}.",
    ),
}


async def test_an_object_that_is_nonsense_or_beyond_the_installations_limits_is_rejected_when_it_is_applied(
    fleet: Fleet,
) -> None:
    await lab(fleet, "rejected")
    for changes, told in REJECTED.values():
        document = lab_bot("rejected")
        for part, values in changes.items():
            document["spec"][part] = {**document["spec"].get(part, {}), **values}
        with pytest.raises(CommandFailedError) as refused:
            fleet.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))
        assert told in " ".join(refused.value.output.split())
    for kind in ("telegrambot", "deployment", "configmap", "serviceaccount"):
        assert fleet.kubectl("-n", "lab", "get", kind, "rejected", "--ignore-not-found") == ""

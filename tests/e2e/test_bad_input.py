"""Promises when something is wrong: a condition that tells it, no crash loop, and a bot as soon as it is put right."""

import asyncio
import time

from botfleet_tools.platform import simulated
from botfleet_tools.platform.pods import restarts
from tests.e2e.conftest import Fleet
from tests.e2e.test_killed import lab, lab_bot


async def test_a_missing_secret_is_named_and_its_appearance_is_noticed_within_three_seconds(fleet: Fleet) -> None:
    username = await lab(fleet, "patient")
    secret = fleet.get("lab", "secret", "patient")
    fleet.kubectl("-n", "lab", "delete", "secret", "patient")
    simulated.apply(fleet.cluster, lab_bot("patient"))
    seen = await asyncio.to_thread(fleet.wait_condition, "lab", "patient", "Accepted", "False", "SecretMissing")
    assert "Secret patient " in seen["message"]
    assert "token" in seen["message"]
    assert "kubectl -n lab create secret" in seen["message"]
    assert fleet.kubectl("-n", "lab", "get", "deployment", "patient", "--ignore-not-found") == "", (
        "nothing is half made"
    )

    again = simulated.secret("lab", "patient", {}, usable=False)
    again.update(data=secret["data"])
    del again["stringData"]
    simulated.apply(fleet.cluster, again)
    seen = await asyncio.to_thread(fleet.wait_condition, "lab", "patient", "Accepted", "False", "SecretNotLabelled")
    assert "kubectl -n lab label secret patient botfleet.dev/credentials=true" in seen["message"]

    fleet.kubectl("-n", "lab", "label", "secret", "patient", "botfleet.dev/credentials=true")
    time.monotonic()
    await asyncio.to_thread(fleet.wait_condition, "lab", "patient", "Accepted", "True", seconds=3)
    await asyncio.to_thread(fleet.wait_condition, "lab", "patient", "Ready", "True")
    await fleet.telegram.wait_connections(username)


async def test_a_token_that_telegram_refuses_is_told_without_a_crash_loop(fleet: Fleet) -> None:
    account = await fleet.telegram.create_bot("stranger_bot", name="stranger")
    identity = str(account.token).partition(":")[0]
    await lab(fleet, "refused", token=f"{identity}:AA-this-is-not-the-secret-part-of-it")
    simulated.apply(fleet.cluster, lab_bot("refused"))
    await asyncio.to_thread(fleet.wait_condition, "lab", "refused", "Authorized", "False", "TokenInvalid")
    ready = fleet.condition("lab", "refused", "Ready")
    assert ready is not None
    assert ready["status"] == "False"
    assert restarts(fleet.cluster, "lab", "refused") == 0

    key = fleet.simulation.bots[0].model_key
    simulated.apply(
        fleet.cluster, simulated.secret("lab", "refused", {"token": str(account.token), "api-key": key}, usable=True)
    )
    await asyncio.to_thread(fleet.wait_condition, "lab", "refused", "Ready", "True", seconds=120)


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

"""Defaults of a namespace: who is looked at again, who restarts, and what a bot's status tells of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from botfleet_operator.model import BotKey
from tests.unit.operator import samples
from tests.unit.operator.rig import KEY_OF, Rig

OTHER = BotKey("hotel", "second")


def spec_of(rig: Rig, name: str = "concierge") -> dict[str, Any]:
    """What the runner gets."""
    return dict(yaml.safe_load(rig.api.objects[("ConfigMap", "hotel", name)]["data"]["bot.yaml"])["spec"])


def applied(rig: Rig) -> set[tuple[str, str]]:
    """Kinds and names that were applied since this was asked last."""
    found = {(kind, name) for verb, kind, name in rig.api.calls if verb == "apply"}
    rig.api.calls.clear()
    return found


def said(status: dict[str, Any]) -> str:
    return str(next(c["message"] for c in status["conditions"] if c["type"] == "Accepted"))


async def two_bots(rig: Rig) -> None:
    """One that says how many messages it remembers, and one that does not."""
    rig.show(conversation={"historyMessages": 7})
    rig.world.secrets._store(samples.secret("spare", token="77:AAx"))
    rig.show("second", "uid-2", account=samples.account("spare"))
    await rig.reconcile("concierge")
    await rig.reconcile("second")
    await rig.woken()
    applied(rig)


async def test_what_a_bot_does_not_say_its_namespace_says_and_the_status_tells_so(rig: Rig) -> None:
    rig.defaults(3, conversation={"historyMessages": 5, "historyTokens": 900}, workload={"nodeSelector": {"zone": "a"}})
    rig.show(conversation={"historyTokens": 800})
    status = await rig.reconcile()
    assert status["defaults"] == {"name": "default", "generation": 3}
    conversation = spec_of(rig)["conversation"]
    assert (conversation["historyMessages"], conversation["historyTokens"]) == (5, 800)
    pod = rig.api.objects[("Deployment", "hotel", "concierge")]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"zone": "a"}
    before = len(rig.api.calls)
    for _ in range(10):
        await rig.reconcile()
    assert rig.api.calls[before:] == []


async def test_changed_defaults_wake_the_bots_of_their_namespace_and_restart_only_those_that_change(rig: Rig) -> None:
    await two_bots(rig)
    elsewhere = replace(samples.bot(), namespace="spa", uid="uid-3")
    rig.world.bot_seen(elsewhere)
    await rig.woken()
    rig.defaults(conversation={"historyMessages": 9})
    assert await rig.woken() == [KEY_OF, OTHER]
    for name in ("concierge", "second"):
        status = await rig.reconcile(name)
        assert status["defaults"]["generation"] == 1
    assert applied(rig) == {("ConfigMap", "second"), ("Deployment", "second")}
    rig.defaults(namespace="nowhere")
    rig.defaults(name="other")
    rig.defaults(1, conversation={"historyMessages": 9})  # a label of it was changed
    assert await rig.woken() == []


async def test_defaults_that_are_gone_are_forgotten(rig: Rig) -> None:
    rig.defaults(conversation={"historyMessages": 9})
    await two_bots(rig)
    rig.world.defaults._drop(("hotel", "default"), rig.api.version + 1)
    assert await rig.woken() == [KEY_OF, OTHER]
    assert "defaults" not in await rig.reconcile("second")
    assert spec_of(rig, "second")["conversation"]["historyMessages"] == 20


async def test_defaults_that_make_no_sense_change_no_bot_and_each_says_where_the_mistake_is(rig: Rig) -> None:
    await two_bots(rig)
    hours = [{"days": ["Mon"], "from": "09:00", "to": "18:00"}]
    rig.defaults(1, schedule={"timeZone": "Europe/Atlantis", "workingHours": hours})
    for name in ("concierge", "second"):
        status = await rig.reconcile(name)
        assert rig.reason(status, "Accepted") == "DefaultsInvalid"
        assert "TelegramBotDefaults default of the namespace" in said(status)
        assert "spec.schedule.timeZone: is no time zone" in said(status)
        assert "kubectl -n hotel edit telegrambotdefaults default" in said(status)
    assert applied(rig) == set()
    rig.defaults(2, schedule={"timeZone": "Asia/Bishkek", "workingHours": hours})
    assert await rig.woken() == [KEY_OF, OTHER]
    assert rig.reason(await rig.reconcile(), "Accepted") == "Accepted"
    assert spec_of(rig)["schedule"]["timeZone"] == "Asia/Bishkek"


async def test_a_bot_is_suspended_although_its_defaults_make_no_sense(rig: Rig) -> None:
    await two_bots(rig)
    rig.defaults(suspend=True)
    record = rig.world.bots[KEY_OF]
    rig.world.bot_seen(replace(record, spec={**record.spec, "suspend": True}, version=rig.api.version + 1))
    assert rig.reason(await rig.reconcile(), "Ready") == "Suspended"


async def test_a_secret_that_defaults_name_is_one_of_the_bots_own_namespace_and_followed(rig: Rig) -> None:
    reference = {"name": "shared", "key": "api-key"}
    rig.defaults(model={"apiKeySecretRef": reference})
    rig.show(model={"name": "gpt-5-mini"})
    assert "label secret shared botfleet.dev/credentials=true" in said(await rig.reconcile())
    await rig.woken()
    rig.world.secrets._store(samples.secret("shared", api_key="planted-1"))
    assert await rig.woken() == [KEY_OF]
    assert rig.reason(await rig.reconcile(), "Accepted") == "Accepted"
    applied(rig)
    rig.world.secrets._store(replace(samples.secret("shared", api_key="planted-2"), version=50))
    assert await rig.woken() == [KEY_OF]
    await rig.reconcile()
    assert applied(rig) == {("Deployment", "concierge")}
    rig.defaults(2, model={"apiKeySecretRef": {"name": "openai", "key": "api-key"}})
    await rig.woken()
    rig.world.secrets._store(replace(samples.secret("shared", api_key="planted-3"), version=60))
    assert await rig.woken() == []

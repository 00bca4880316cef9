"""Prompts that lie elsewhere: what the runner gets, who may be read, and who is looked at again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from botfleet.spec.behaviour import PROMPT_MOST
from botfleet_operator.kubeapi import ServerSideError
from botfleet_operator.prompts import prompt_record
from tests.unit.operator import samples
from tests.unit.operator.rig import KEY_OF, Rig
from tests.unit.operator.test_defaults import OTHER, applied, said, spec_of, two_bots

FROM_MAP = {"promptFrom": {"configMapKeyRef": {"name": "house", "key": "concierge"}}}
TELLABLE = {"botfleet.dev/prompt": "true"}
FROM_SECRET = {"promptFrom": {"secretKeyRef": {"name": "hidden", "key": "prompt"}}}


async def test_a_prompt_in_a_configmap_is_what_the_runner_gets(rig: Rig) -> None:
    rig.prompt("house", concierge="You are “Ada”.\nTwo lines.", other="You are another.")
    rig.show(persona=FROM_MAP)
    assert rig.reason(await rig.reconcile(), "Accepted") == "Accepted"
    assert spec_of(rig)["persona"] == {"prompt": "You are “Ada”.\nTwo lines.", "disclosure": "FirstReply"}
    before = len(rig.api.calls)
    for _ in range(10):
        await rig.reconcile()
    assert rig.api.calls[before:] == []


async def test_a_changed_prompt_restarts_the_bots_that_have_it_and_wakes_no_other(rig: Rig) -> None:
    rig.prompt("house", concierge="You are Ada.", other="You are another.")
    await two_bots(rig)
    record = rig.world.bots[KEY_OF]
    rig.world.bot_seen(replace(record, spec={**record.spec, "persona": FROM_MAP}, version=rig.api.version + 1))
    await rig.reconcile()
    await rig.woken()
    applied(rig)
    rig.prompt("house", concierge="You are Bo.", other="You are another.")
    assert await rig.woken() == [KEY_OF]
    await rig.reconcile()
    assert applied(rig) == {("ConfigMap", "concierge"), ("Deployment", "concierge")}
    rig.prompt("house", concierge="You are Bo.", other="You are a third.")
    assert await rig.woken() == [KEY_OF]
    await rig.reconcile()
    assert applied(rig) == set(), "another key of it"
    rig.prompt("house", concierge="You are Bo.", other="You are a third.")  # a label, say
    assert await rig.woken() == []


async def test_missing_and_unlabelled_prompts_are_told_apart_and_no_bot_is_changed_by_them(rig: Rig) -> None:
    rig.prompt("house", concierge="You are Ada.")
    rig.show(persona=FROM_MAP)
    await rig.reconcile()
    assert applied(rig)
    rig.world.prompts._drop(("hotel", "house"), rig.api.version + 1)  # gone, or its label is
    status = await rig.reconcile()
    assert rig.reason(status, "Accepted") == "ConfigMapMissing"
    assert "create configmap house --from-file=concierge=FILE" in said(status)
    labels = {"botfleet.dev/prompt": "true"}
    rig.api.store("ConfigMap", {"metadata": {"namespace": "hotel", "name": "house", "labels": labels}})
    assert rig.reason(await rig.reconcile(), "Accepted") == "ConfigMapMissing"  # its news is on its way
    rig.api.store("ConfigMap", {"metadata": {"namespace": "hotel", "name": "house", "labels": {}}})
    status = await rig.reconcile()
    assert rig.reason(status, "Accepted") == "ConfigMapNotLabelled"
    assert said(status).endswith("kubectl -n hotel label configmap house botfleet.dev/prompt=true")
    gets = [call for call in rig.api.calls if call[0] == "get" and call[1] == "ConfigMap"]
    assert len(gets) == 3
    assert applied(rig) == set(), "what runs goes on with the prompt that it has"


@pytest.mark.parametrize(
    ("texts", "reason", "told"),
    [
        ({"other": "x"}, "ConfigMapKeyMissing", "has no key concierge"),
        ({"concierge": " \n"}, "ConfigMapUnusable", "it is empty"),
        (
            {"concierge": "x" * (PROMPT_MOST + 1)},
            "ConfigMapUnusable",
            "65537 characters, and a prompt has 65536 at most",
        ),
    ],
)
async def test_a_text_that_is_no_prompt_is_refused_with_its_key(
    rig: Rig, texts: dict[str, str], reason: str, told: str
) -> None:
    rig.prompt("house", **texts)
    rig.show(persona=FROM_MAP)
    status = await rig.reconcile()
    assert rig.reason(status, "Accepted") == reason
    assert "ConfigMap house" in said(status)
    assert told in said(status)
    assert ("apply", "ConfigMap", "concierge") not in rig.api.calls


def test_a_binary_value_is_no_prompt_and_one_that_is_too_long_is_not_kept() -> None:
    metadata = {"namespace": "hotel", "name": "house", "uid": "u", "resourceVersion": "1"}
    long = "planted" * PROMPT_MOST
    record = prompt_record({"metadata": metadata, "binaryData": {"picture": "AA=="}, "data": {"long": long}})
    assert set(record.mistakes) == {"picture", "long"}
    assert record.texts == {}


async def test_a_prompt_in_a_secret_is_mounted_and_copied_nowhere(rig: Rig) -> None:
    rig.show(persona=FROM_SECRET)
    assert "label secret hidden botfleet.dev/credentials=true" in said(await rig.reconcile())
    rig.world.secrets._store(samples.secret("hidden", labels=TELLABLE, prompt="planted: you are Ada."))
    await rig.reconcile()
    deployment = rig.api.objects[("Deployment", "hotel", "concierge")]
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    sources = next(volume for volume in volumes if volume["name"] == "secrets")["projected"]["sources"]
    assert {"name": "hidden", "items": [{"key": "prompt", "path": "hidden/prompt"}]} in [s["secret"] for s in sources]
    assert spec_of(rig)["persona"] == {**FROM_SECRET, "disclosure": "FirstReply"}
    assert "planted" not in yaml.safe_dump([o for (kind, _, _), o in rig.api.objects.items() if kind != "Secret"])
    applied(rig)
    rig.world.secrets._store(
        replace(samples.secret("hidden", labels=TELLABLE, prompt="planted: you are Bo."), version=50)
    )
    await rig.reconcile()
    assert applied(rig) == {("Deployment", "concierge")}
    rig.world.secrets._store(
        replace(samples.secret("hidden", labels=TELLABLE, prompt="x" * (PROMPT_MOST + 1)), version=60)
    )
    assert rig.reason(await rig.reconcile(), "Accepted") == "SecretUnusable"


async def test_a_token_cannot_be_made_a_prompt_and_told(rig: Rig) -> None:
    """By somebody who may write TelegramBots and nothing else."""
    rig.show(persona={"promptFrom": {"secretKeyRef": {"name": "concierge", "key": "token"}}})
    status = await rig.reconcile()
    assert rig.reason(status, "Accepted") == "SecretUnusable"
    assert "botfleet.dev/prompt=true" in said(status)
    assert applied(rig) == set()


async def test_a_prompt_of_the_defaults_is_that_of_the_bots_which_have_none_of_their_own(rig: Rig) -> None:
    rig.prompt("house", concierge="You are of the house.")
    await two_bots(rig)
    record = rig.world.bots[OTHER]
    rig.world.bot_seen(replace(record, spec={**record.spec, "persona": {}}, version=rig.api.version + 1))
    rig.defaults(persona=FROM_MAP)
    await rig.woken()
    for name in ("concierge", "second"):
        assert rig.reason(await rig.reconcile(name), "Accepted") == "Accepted"
    assert spec_of(rig)["persona"]["prompt"] == samples.bot().spec["persona"]["prompt"]
    assert spec_of(rig, "second")["persona"]["prompt"] == "You are of the house."


async def test_a_lookup_that_fails_claims_nothing_about_the_prompt(rig: Rig) -> None:
    rig.show(persona=FROM_MAP)
    rig.api.errors["get"] = ServerSideError("boom", status=500)
    assert await rig.reconcile() == {}
    del rig.api.errors["get"]
    assert rig.reason(await rig.reconcile(), "Accepted") == "ConfigMapMissing"

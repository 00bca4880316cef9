"""Roll-outs from the installation's side go in waves and stop when one fails; an owner's own change waits for nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from botfleet_operator.builders import Blueprint, configmap
from botfleet_operator.kubeapi import ForbiddenError
from botfleet_operator.model import BotKey
from botfleet_operator.names import ANNOTATION_APPLIED_TEMPLATE
from botfleet_operator.uses import named_in
from tests.integration.fleet.fleet import Fleet
from tests.unit.operator import samples
from tests.unit.operator.rig import LIMITS, Rig
from tests.unit.operator.samples import PLATFORM

NEXT = replace(PLATFORM, image="registry.example/botfleet/runner:2")
FIXED = replace(PLATFORM, image="registry.example/botfleet/runner:3")
PENDING, UNDER_WAY, FAILED, DONE = "RolloutPending", "RolloutInProgress", "RolloutFailed", "UpToDate"


@pytest.fixture
async def fleet(rig: Rig) -> AsyncIterator[Fleet]:
    """Five bots that are Ready; a wave is two."""
    made = Fleet(rig, 5)
    await made.run()
    await made.ready()
    assert made.reasons() == [DONE] * 5
    yield made


async def test_a_new_image_goes_in_waves_and_each_must_be_ready_before_the_next(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    assert fleet.images() == ["2", "2", "1", "1", "1"]
    assert fleet.reasons() == [UNDER_WAY, UNDER_WAY, PENDING, PENDING, PENDING]
    assert [fleet.condition(name)[0] for name in fleet.names] == ["Unknown", "Unknown", "False", "False", "False"]
    assert fleet.figures() == {"pending": 3, "in progress": 2, "halted": 0}
    await fleet.ready("bot-0")
    await fleet.after(60)
    assert fleet.images() == ["2", "2", "1", "1", "1"], "one of the wave is not Ready yet"
    await fleet.ready("bot-1")
    assert fleet.images() == ["2", "2", "1", "1", "1"], "there is a pause between waves"
    await fleet.after(29)
    assert fleet.images() == ["2", "2", "1", "1", "1"]
    await fleet.after(1)
    assert fleet.images() == ["2", "2", "2", "2", "1"]
    await fleet.ready("bot-2", "bot-3")
    await fleet.after(30)
    await fleet.ready("bot-4")
    assert fleet.images() == ["2"] * 5
    assert fleet.reasons() == [DONE] * 5
    assert fleet.figures() == {"pending": 0, "in progress": 0, "halted": 0}


async def test_the_word_of_the_old_pod_does_not_finish_a_wave(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    assert fleet.condition("bot-0", "Ready")[0] == "True", "the old pod still answers"
    assert fleet.condition("bot-0") == ("Unknown", UNDER_WAY)
    (old,) = fleet.rig.world.pods_of(BotKey("hotel", "bot-0"))
    fleet.rig.world.pods._drop(("hotel", old.name), old.version)
    await fleet.run()
    assert fleet.condition("bot-0") == ("Unknown", UNDER_WAY), "it is gone, and its lease not yet over"


async def test_during_a_rollout_and_after_it_nothing_is_written_that_changes_nothing(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    for _ in range(2):
        writes = len(fleet.rig.api.writes())
        for name in fleet.names * 3:
            await fleet.rig.reconcile(name)
        await fleet.lead(platform=NEXT)
        assert fleet.rig.api.writes()[writes:] == []
        for _ in range(3):
            await fleet.ready()
            await fleet.after(60)
    assert fleet.images() == ["2"] * 5


async def test_a_new_bot_gets_the_newest_at_once(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    fleet.rig.world.secrets._store(samples.secret("new", token="7777:AAplanted"))
    fleet.rig.show("new", "uid-new", account=samples.account("new"))
    await fleet.run()
    fleet.names.append("new")
    assert fleet.images() == ["2", "2", "1", "1", "1", "2"]
    assert fleet.condition("new") == ("True", DONE)


async def test_a_wave_that_is_not_ready_in_time_stops_the_rollout_and_says_so(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.ready("bot-1")
    with capture_logs() as said:
        await fleet.after(299)
        assert fleet.figures()["halted"] == 0
        await fleet.after(1)
        await fleet.after(4000)
    assert fleet.images() == ["2", "2", "1", "1", "1"]
    assert fleet.reasons() == [FAILED, DONE, PENDING, PENDING, PENDING]
    assert fleet.figures() == {"pending": 3, "in progress": 1, "halted": 1}
    (line,) = [entry for entry in said if entry["log_level"] == "error"]
    assert (line["event"], line["bots"], line["pending"]) == ("rollout_halted", ["hotel/bot-0"], 3)
    assert "upgrade again" in line["action"]
    await fleet.lead(platform=NEXT)
    await fleet.after(4000)
    assert fleet.images() == ["2", "2", "1", "1", "1"], "another leader starts nothing"
    assert fleet.figures()["halted"] == 1


async def test_a_time_to_come_on_a_deployment_ends_nothing_and_holds_nobody_up(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.after(300)

    def to_come(body: dict[str, Any], fields: dict[str, Any]) -> None:
        body["metadata"]["annotations"]["botfleet.dev/rolled-out-at"] = "9999-12-31T23:59:59Z"

    await fleet.somebody_edits("Deployment", "bot-0", to_come)
    await fleet.lead(platform=NEXT)
    assert fleet.images() == ["2", "2", "1", "1", "1"]
    await fleet.ready("bot-0", "bot-1")
    await fleet.after(30)
    assert fleet.images() == ["2", "2", "2", "2", "1"]


async def test_a_fix_begins_with_those_that_failed_and_goes_on_when_they_are_ready(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.after(300)
    assert fleet.reasons() == [FAILED, FAILED, PENDING, PENDING, PENDING]
    await fleet.lead(platform=FIXED)
    assert fleet.images() == ["3", "3", "1", "1", "1"]
    assert fleet.reasons() == [UNDER_WAY, UNDER_WAY, PENDING, PENDING, PENDING]
    await fleet.after(300)
    assert fleet.figures()["halted"] == 1, "the fix is measured like the first attempt"
    await fleet.ready("bot-0", "bot-1")
    await fleet.after(30)
    assert fleet.images() == ["3", "3", "3", "3", "1"]


async def test_a_rollback_reaches_those_that_failed_and_restarts_nobody_else(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.ready("bot-0", "bot-1", connected=False)
    await fleet.after(300)
    held = [fleet.deployment(name)["metadata"]["resourceVersion"] for name in fleet.names[2:]]
    await fleet.lead(platform=PLATFORM)
    assert fleet.images() == ["1"] * 5
    assert fleet.reasons() == [UNDER_WAY, UNDER_WAY, DONE, DONE, DONE]
    assert [fleet.deployment(name)["metadata"]["resourceVersion"] for name in fleet.names[2:]] == held
    await fleet.ready("bot-0", "bot-1")
    assert fleet.figures() == {"pending": 0, "in progress": 0, "halted": 0}


async def test_a_bot_that_becomes_ready_after_all_lets_the_rollout_go_on(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.ready("bot-1")
    await fleet.after(600)
    await fleet.ready("bot-0")
    await fleet.after(30)
    assert fleet.images() == ["2", "2", "2", "2", "1"]


async def test_another_leader_waits_for_the_wave_of_the_one_before(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.ready("bot-1")
    await fleet.lead(platform=NEXT)
    await fleet.after(100)
    assert fleet.images() == ["2", "2", "1", "1", "1"]
    await fleet.ready("bot-0")
    await fleet.lead(platform=NEXT)
    assert fleet.images() == ["2", "2", "1", "1", "1"], "it knows of the pause, too"
    await fleet.after(30)
    assert fleet.images() == ["2", "2", "2", "2", "1"]


async def test_a_leader_that_died_between_deployment_and_status_leaves_a_wave_that_is_waited_for(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT, limits=replace(LIMITS, size="1"))
    name = "bot-1"
    await fleet.ready("bot-0")
    fleet.rig.api.errors["patch"] = ForbiddenError("died", status=403)
    await fleet.after(30)
    del fleet.rig.api.errors["patch"]
    assert fleet.images() == ["2", "2", "1", "1", "1"]
    assert fleet.condition(name) == ("False", PENDING), "its status was not written any more"
    await fleet.lead(platform=NEXT, limits=replace(LIMITS, size="1"))
    assert fleet.condition(name) == ("Unknown", UNDER_WAY)
    await fleet.after(60)
    assert fleet.images() == ["2", "2", "1", "1", "1"]


async def test_an_owners_change_is_applied_at_once_and_takes_the_new_template_with_it(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.owner_edits("bot-2", persona={"prompt": "You are somebody else."})
    assert fleet.images() == ["2", "2", "2", "1", "1"]
    fleet.rig.world.secrets._store(replace(samples.secret("bot-3", token="1003:AAanother"), version=6))
    await fleet.run()
    assert fleet.images() == ["2", "2", "2", "2", "1"]
    assert fleet.reasons()[2:] == [DONE, DONE, PENDING], "and nobody waits for it"


async def test_defaults_of_a_namespace_and_prompts_are_its_owners_and_go_at_once(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    fleet.rig.defaults(conversation={"historyMessages": 9})
    await fleet.run()
    assert fleet.images() == ["2"] * 5
    assert fleet.reasons()[2:] == [DONE] * 3


async def test_a_changed_secret_that_many_bots_use_restarts_them_at_once(fleet: Fleet) -> None:
    before = [fleet.template(name) for name in fleet.names]
    fleet.rig.world.secrets._store(replace(samples.secret("openai", api_key="another"), version=6))
    await fleet.run()
    assert all(fleet.template(name) != old for name, old in zip(fleet.names, before, strict=True))
    assert fleet.reasons() == [DONE] * 5


async def test_suspending_a_bot_that_is_held_back_works_at_once_and_so_does_resuming(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.owner_edits("bot-4", suspend=True)
    assert fleet.deployment("bot-4")["spec"]["replicas"] == 0
    await fleet.owner_edits("bot-4", suspend=False)
    assert fleet.deployment("bot-4")["spec"]["replicas"] == 1
    assert fleet.images() == ["2", "2", "1", "1", "2"]
    await fleet.owner_edits("bot-0", suspend=True)
    assert fleet.condition("bot-0") == ("True", DONE), "nobody waits for a bot that is suspended"


async def test_a_restart_by_the_owner_brings_the_new_template(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    await fleet.somebody_edits("Deployment", "bot-3", restarted("2025-12-31T23:59:59+00:00"))
    assert fleet.images() == ["2", "2", "1", "1", "1"], "that was before"
    await fleet.somebody_edits("Deployment", "bot-4", restarted("2026-01-01T06:00:05+06:00"))
    assert fleet.images() == ["2", "2", "1", "1", "2"]


def restarted(at: str) -> Any:
    def edit(body: dict[str, Any], fields: dict[str, Any]) -> None:
        body["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = at

    return edit


async def test_a_bot_that_pins_its_image_is_not_concerned_by_another_one(rig: Rig) -> None:
    fleet = Fleet(rig, 3, workload={"image": "registry.example/own:7"})
    await fleet.run()
    await fleet.ready()
    writes = len(rig.api.writes())
    await fleet.lead(platform=NEXT)
    assert [verb for verb, _, _ in rig.api.writes()[writes:] if verb == "apply"] == []
    assert fleet.images() == ["7"] * 3
    assert fleet.reasons() == [DONE] * 3
    await fleet.lead(platform=replace(NEXT, log_level="debug"))
    assert fleet.reasons() == [UNDER_WAY, UNDER_WAY, PENDING], "by the rest of the template it is"


async def test_bots_that_were_not_ready_before_hold_nobody_up(fleet: Fleet) -> None:
    await fleet.ready("bot-0", "bot-1", "bot-2", connected=False)
    await fleet.lead(platform=NEXT)
    assert fleet.images() == ["2", "2", "1", "1", "1"]
    assert fleet.reasons() == [DONE, DONE, PENDING, PENDING, PENDING]
    await fleet.after(30)
    assert fleet.images() == ["2", "2", "2", "2", "1"]
    await fleet.ready("bot-3")
    await fleet.after(30)
    assert fleet.images() == ["2"] * 5
    assert fleet.figures()["halted"] == 0


async def test_a_bot_that_is_refused_or_deleted_meanwhile_holds_nobody_up(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    fleet.rig.hide("bot-0", "uid-bot-0")
    await fleet.owner_edits("bot-1", model={"temperature": "hot"})
    await fleet.after(30)
    fleet.names.remove("bot-0")
    assert fleet.images() == ["2", "2", "2", "1"]


async def test_what_a_bot_is_held_back_with_is_restored_when_somebody_edits_it(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)
    old = fleet.template("bot-4")

    def edit(body: dict[str, Any], fields: dict[str, Any]) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
        body["metadata"]["labels"]["mine"] = "stays"
        (container,) = fields["f:spec"]["f:template"]["f:spec"]["f:containers"].values()
        del container["f:image"]

    await fleet.somebody_edits("Deployment", "bot-4", edit)
    assert fleet.template("bot-4") == old
    assert fleet.condition("bot-4") == ("False", PENDING)
    writes = len(fleet.rig.api.writes())
    await fleet.rig.reconcile("bot-4")
    assert fleet.rig.api.writes()[writes:] == []


async def test_foreign_containers_and_replicas_of_a_bot_that_is_held_back_are_repaired(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)

    def edit(body: dict[str, Any], fields: dict[str, Any]) -> None:
        body["spec"]["replicas"] = 3
        body["spec"]["template"]["spec"]["containers"].append({"name": "miner", "image": "evil"})
        del fields["f:spec"]["f:replicas"]

    writes = len(fleet.rig.api.writes())
    await fleet.somebody_edits("Deployment", "bot-4", edit)
    assert [(verb, kind) for verb, kind, _ in fleet.rig.api.writes()[writes:]][:2] == [
        ("apply", "Deployment"), ("patch", "Deployment"),
    ]  # fmt: skip
    assert fleet.deployment("bot-4")["spec"]["replicas"] == 1
    assert fleet.images()[4] == "1"


@pytest.mark.parametrize("kind", ["ServiceAccount", "Secret"])
async def test_other_children_of_a_bot_that_is_held_back_are_repaired(fleet: Fleet, kind: str) -> None:
    await fleet.lead(platform=NEXT)
    name = "bot-4-botfleet" if kind == "Secret" else "bot-4"
    fleet.rig.api.objects.pop((kind, "hotel", name))
    informer = fleet.rig.world.children[kind]
    informer._drop(("hotel", name), fleet.rig.api.version)
    await fleet.run()
    assert (kind, "hotel", name) in fleet.rig.api.objects
    assert fleet.images()[4] == "1"


async def test_an_old_template_that_somebody_else_wrote_is_not_believed(fleet: Fleet) -> None:
    await fleet.lead(platform=NEXT)

    def edit(body: dict[str, Any], fields: dict[str, Any]) -> None:
        body["metadata"]["annotations"][ANNOTATION_APPLIED_TEMPLATE] = "{}"
        del fields["f:metadata"]["f:annotations"][f"f:{ANNOTATION_APPLIED_TEMPLATE}"]

    await fleet.somebody_edits("Deployment", "bot-4", edit)
    assert fleet.images() == ["2", "2", "1", "1", "2"], "what cannot be restored is made anew"


@pytest.mark.parametrize("text", ["", "nonsense", "{}", "[]", '{"metadata": {"annotations": 7}}', "null"])
async def test_nonsense_in_our_name_ends_no_watch(fleet: Fleet, text: str) -> None:
    def edit(body: dict[str, Any], fields: dict[str, Any]) -> None:
        body["metadata"]["annotations"][ANNOTATION_APPLIED_TEMPLATE] = text

    await fleet.somebody_edits("Deployment", "bot-4", edit)
    record = fleet.rig.world.children["Deployment"].get("hotel", "bot-4")
    assert record is not None
    assert record.template is None


async def test_new_defaults_of_the_cluster_go_in_waves_and_the_others_stay_ready_with_the_old(fleet: Fleet) -> None:
    prompt = fleet.rig.api.objects[("ConfigMap", "hotel", "bot-4")]["data"]["bot.yaml"]
    await fleet.lead(defaults={"model": {"maxOutputTokens": 77}})
    assert fleet.reasons() == [UNDER_WAY, UNDER_WAY, PENDING, PENDING, PENDING]
    assert "77" in fleet.rig.api.objects[("ConfigMap", "hotel", "bot-0")]["data"]["bot.yaml"]
    assert fleet.rig.api.objects[("ConfigMap", "hotel", "bot-4")]["data"]["bot.yaml"] == prompt
    assert fleet.condition("bot-4", "Ready") == ("True", "Ready")
    assert fleet.condition("bot-0", "Ready")[0] == "False"
    await fleet.ready("bot-0", "bot-1")
    assert fleet.condition("bot-0") == ("True", DONE)


async def test_another_operator_that_builds_another_configmap_holds_the_fleet_back_like_any_other(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = configmap.build

    def with_more(blueprint: Blueprint) -> dict[str, Any]:
        made = build(blueprint)
        return {**made, "data": {**made["data"], "more.yaml": "x"}}

    monkeypatch.setattr(configmap, "build", with_more)
    await fleet.lead(defaults={"model": {"maxOutputTokens": 77}})
    assert fleet.reasons() == [UNDER_WAY, UNDER_WAY, PENDING, PENDING, PENDING]
    assert set(fleet.rig.api.objects[("ConfigMap", "hotel", "bot-4")]["data"]) == {"bot.yaml"}


async def test_an_old_configmap_that_somebody_has_edited_goes_with_the_new(fleet: Fleet) -> None:
    await fleet.lead(defaults={"model": {"maxOutputTokens": 77}})

    def edit(body: dict[str, Any], fields: dict[str, Any]) -> None:
        body["data"]["bot.yaml"] = "foreign"
        del fields["f:data"]["f:bot.yaml"]

    await fleet.somebody_edits("ConfigMap", "bot-4", edit)
    assert "77" in fleet.rig.api.objects[("ConfigMap", "hotel", "bot-4")]["data"]["bot.yaml"]


async def test_a_configmap_that_the_rollout_does_not_change_is_restored_to_a_bot_that_is_held_back(
    fleet: Fleet,
) -> None:
    await fleet.lead(platform=NEXT)
    old = fleet.rig.api.objects.pop(("ConfigMap", "hotel", "bot-4"))["data"]
    fleet.rig.world.children["ConfigMap"]._drop(("hotel", "bot-4"), fleet.rig.api.version)
    await fleet.run()
    assert fleet.rig.api.objects[("ConfigMap", "hotel", "bot-4")]["data"] == old
    assert fleet.images()[4] == "1"


async def test_an_old_configmap_that_is_gone_cannot_be_kept_so_the_bot_goes_ahead(fleet: Fleet) -> None:
    await fleet.lead(defaults={"model": {"maxOutputTokens": 77}})
    fleet.rig.api.objects.pop(("ConfigMap", "hotel", "bot-4"))
    fleet.rig.world.children["ConfigMap"]._drop(("hotel", "bot-4"), fleet.rig.api.version)
    await fleet.run()
    assert "77" in fleet.rig.api.objects[("ConfigMap", "hotel", "bot-4")]["data"]["bot.yaml"]
    assert fleet.condition("bot-4")[1] == UNDER_WAY


async def test_defaults_that_name_another_secret_are_no_change_of_the_owners(rig: Rig) -> None:
    rig.world.secrets._store(samples.secret("other", api_key="planted"))
    model = {"name": "gpt-5-mini"}
    first, second = ({"model": {"apiKeySecretRef": {"name": n, "key": "api-key"}}} for n in ("openai", "other"))
    rig.world._named_by_cluster = frozenset({*named_in(first), *named_in(second)})
    rig.lead(defaults=first)
    fleet = Fleet(rig, 5, model=model)
    await fleet.run()
    await fleet.ready()
    await fleet.lead(defaults=second)
    assert fleet.reasons() == [UNDER_WAY, UNDER_WAY, PENDING, PENDING, PENDING]
    assert fleet.condition("bot-4", "Ready") == ("True", "Ready")


async def test_nobody_is_let_go_before_the_fleet_is_known_and_that_is_not_waited_for_for_ever(fleet: Fleet) -> None:
    fleet.rig.lead(platform=NEXT)
    for name in fleet.names[:4]:
        await fleet.rig.reconcile(name)
        fleet.rig.waves.look()
        assert not fleet.rig.waves.turn(BotKey("hotel", "bot-0")).may
    fleet.rig.queue._ready.clear()
    fleet.rig.queue._queued.clear()
    await fleet.after(60)
    assert fleet.images() == ["2", "2", "1", "1", "1"]

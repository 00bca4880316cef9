"""Promises about the operator on a node: what it owns is back, also after a death of its own, and no message is the price."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from botfleet_tools.errors import ToolError
from botfleet_tools.platform import simulated
from botfleet_tools.platform.pods import freeze_pod, kill9_pod, pod_of
from botfleet_tools.run import CommandFailedError
from tests.e2e.conftest import REPLY_SECONDS, Fleet, named_once, wait_for
from tests.e2e.test_killed import lab, lab_bot
from tests.support.watching import Event

RESTORED_SECONDS = 5.0  # on a busy machine; bench/operator has the figures
LEADER_SECONDS = 20.0
SCALED_SECONDS = 120  # nothing is promised about that
OPERATOR = "deployment/botfleet-operator"


async def wait(found: Callable[[], bool], seconds: float, told: str) -> None:
    await asyncio.to_thread(wait_for, lambda: True if found() else None, seconds, lambda: told)


def system(fleet: Fleet, *command: str) -> str:
    return fleet.kubectl("-n", fleet.release.namespace, *command)


def operators(fleet: Fleet) -> list[dict[str, Any]]:
    text = system(fleet, "get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "json")
    found: list[dict[str, Any]] = json.loads(text)["items"]
    return found


async def scaled(fleet: Fleet, replicas: int) -> None:
    """So many operators, all of them up, and one of them leads."""
    system(fleet, "scale", OPERATOR, f"--replicas={replicas}")
    status = ("rollout", "status", OPERATOR, f"--timeout={SCALED_SECONDS}s")
    await asyncio.to_thread(fleet.kubectl, "-n", fleet.release.namespace, *status, deadline_seconds=SCALED_SECONDS + 10)
    await wait(lambda: len(operators(fleet)) == replicas, SCALED_SECONDS, "the operator's pods do not end")
    if replicas:
        # The one that is left may have been a follower.
        await wait(lambda: leader(fleet) is not None, SCALED_SECONDS, "nobody leads")


def leader(fleet: Fleet) -> dict[str, Any] | None:
    """The pod that the Lease names."""
    holder = fleet.get(fleet.release.namespace, "lease", "botfleet-operator")["spec"].get("holderIdentity")
    return next((pod for pod in operators(fleet) if pod["metadata"]["uid"] == holder), None)


def uids(fleet: Fleet, namespace: str, bot: str) -> set[str]:
    """Of the children but the Deployment, by one call: each takes its time. Raises ToolError when one is not there."""
    names = [*(f"{kind}/{bot}" for kind in ("serviceaccount", "configmap", "networkpolicy")), f"secret/{bot}-botfleet"]
    found = json.loads(fleet.kubectl("-n", namespace, "get", *names, "-o", "json"))["items"]
    assert len(found) == len(names)
    return {item["metadata"]["uid"] for item in found}


async def test_children_that_are_deleted_under_traffic_are_back_and_each_message_is_answered_once(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("concierge")
    before = uids(fleet, bot.namespace, bot.name)
    children = [f"{kind}/{bot.name}" for kind in ("serviceaccount", "configmap", "networkpolicy")]
    who = await fleet.new_person(21)
    numbers = list(range(8301, 8313))

    def back() -> bool:
        try:
            after = uids(fleet, bot.namespace, bot.name)
        except ToolError:
            return False
        return not before & after

    async with fleet.person(who) as person:
        for number in numbers:
            await person.say(bot.username, f"message {number}")
            if number in (8303, 8306):
                if number == 8306:  # what is not there cannot be deleted
                    await wait(back, RESTORED_SECONDS, "a child is not back")
                    before = uids(fleet, bot.namespace, bot.name)
                fleet.kubectl("-n", bot.namespace, "delete", *children, f"secret/{bot.name}-botfleet")
            if number == 8309:
                fleet.kubectl("-n", bot.namespace, "delete", "deployment", bot.name, "--wait=false")
        await wait(back, RESTORED_SECONDS, "a child is not back")
        await named_once(fleet, who.id, bot.username, numbers)
    await asyncio.to_thread(fleet.wait_condition, bot.namespace, bot.name, "Ready", "True")


async def test_what_was_edited_while_no_operator_ran_is_restored_at_its_start_and_no_pod_is_disturbed(
    fleet: Fleet,
) -> None:
    bot = fleet.simulation.bot("support")
    pod = pod_of(fleet.cluster, bot.namespace, bot.name)["metadata"]["uid"]
    held = fleet.get(bot.namespace, "configmap", bot.name)["data"]
    rules = fleet.get(bot.namespace, "networkpolicy", bot.name)["spec"]
    try:
        await scaled(fleet, 0)
        patch = ("-n", bot.namespace, "patch", "--type=merge", "-p")
        fleet.kubectl(*patch, json.dumps({"data": dict.fromkeys(held, "nonsense")}), "configmap", bot.name)
        opened = {"metadata": {"labels": {"team": "front-desk"}}, "spec": {"egress": [{}], "ingress": [{}]}}
        fleet.kubectl(*patch, json.dumps(opened), "networkpolicy", bot.name)
    finally:
        await scaled(fleet, 1)

    def restored() -> bool:
        policy = fleet.get(bot.namespace, "networkpolicy", bot.name)
        assert policy["metadata"]["labels"]["team"] == "front-desk"
        return bool(policy["spec"] == rules and fleet.get(bot.namespace, "configmap", bot.name)["data"] == held)

    await wait(restored, LEADER_SECONDS, "what was edited is not restored")
    assert pod_of(fleet.cluster, bot.namespace, bot.name)["metadata"]["uid"] == pod


async def test_a_leader_that_is_killed_is_replaced_within_twenty_seconds_and_the_bots_do_not_notice(
    fleet: Fleet,
) -> None:
    bot = fleet.simulation.bot("support")
    pod = pod_of(fleet.cluster, bot.namespace, bot.name)["metadata"]["uid"]
    await scaled(fleet, 2)
    try:
        killed = leader(fleet)
        assert killed is not None
        old = fleet.get(bot.namespace, "configmap", bot.name)["metadata"]["uid"]
        with (
            fleet.watching(fleet.release.namespace, "lease", "botfleet-operator") as leases,
            fleet.watching(bot.namespace, "configmap", bot.name) as configmaps,
        ):
            # Frozen first: kubelet would start a killed one again before its pod is gone, and that one would lead on.
            assert freeze_pod(killed)
            frozen = datetime.now(UTC)
            system(fleet, "delete", "pod", killed["metadata"]["name"], "--force", "--grace-period=0")
            kill9_pod(killed)
            fleet.kubectl("-n", bot.namespace, "delete", "configmap", bot.name)

            def led_by_another(event: Event) -> bool:
                holder = event.object["spec"].get("holderIdentity")
                return event.moment > frozen.timestamp() and holder not in ("", None, killed["metadata"]["uid"])

            def back(event: Event) -> bool:
                return event.type == "ADDED" and bool(event.object["metadata"]["uid"] != old)

            led = await asyncio.to_thread(leases.first, led_by_another, SCALED_SECONDS, "nobody leads")
            restored = await asyncio.to_thread(configmaps.first, back, SCALED_SECONDS, "what was deleted is not back")
        acquired = datetime.fromisoformat(led.object["spec"]["acquireTime"])
        assert (acquired - frozen).total_seconds() <= LEADER_SECONDS
        assert restored.moment - led.moment <= RESTORED_SECONDS, "the new leader restores what was deleted"
        now = leader(fleet)
        assert now is not None
        assert now["metadata"]["uid"] == led.object["spec"]["holderIdentity"]
        assert pod_of(fleet.cluster, bot.namespace, bot.name)["metadata"]["uid"] == pod
    finally:
        await scaled(fleet, 1)


async def test_while_postgresql_is_killed_and_started_again_each_message_is_answered_once(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("spa")
    pod = json.loads(system(fleet, "get", "pod", f"{fleet.release.name}-postgres-0", "-o", "json"))
    who = await fleet.new_person(22)
    numbers = list(range(8401, 8409))
    async with fleet.person(who) as person:
        for number in numbers:
            await person.say(bot.username, f"message {number}")
            if number == 8403:
                assert kill9_pod(pod)
        await named_once(fleet, who.id, bot.username, numbers)
    await asyncio.to_thread(fleet.wait_condition, bot.namespace, bot.name, "Ready", "True")


async def test_a_changed_secret_restarts_its_bot_alone_and_a_pod_that_hangs_blocks_no_change(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("concierge")
    others = [other for other in fleet.simulation.bots if other.name != bot.name]
    undisturbed = [pod_of(fleet.cluster, other.namespace, other.name)["metadata"]["uid"] for other in others]
    username = await lab(fleet, "rotated")
    simulated.apply(fleet.cluster, lab_bot("rotated"))
    await asyncio.to_thread(fleet.wait_condition, "lab", "rotated", "Ready", "True")
    old = pod_of(fleet.cluster, "lab", "rotated")["metadata"]
    # As on a node that is lost: it goes on Terminating until somebody takes this away.
    hanging = ("-n", "lab", "patch", "pod", old["name"], "--type=merge", "-p")
    fleet.kubectl(*hanging, json.dumps({"metadata": {"finalizers": ["botfleet.test/hangs"]}}))
    try:
        token = fleet.get("lab", "secret", "rotated")["data"]["token"]
        key = others[0].model_key
        rotated = simulated.secret("lab", "rotated", {"api-key": key}, usable=True)
        rotated["data"] = {"token": token}
        asked = len(await fleet.model.requests(key=key))
        simulated.apply(fleet.cluster, rotated)

        def replaced() -> bool:
            try:
                return bool(pod_of(fleet.cluster, "lab", "rotated")["metadata"]["uid"] != old["uid"])
            except ToolError:
                return False

        await wait(replaced, 120, "the pod that hangs keeps its successor away")
        await asyncio.to_thread(fleet.wait_condition, "lab", "rotated", "Ready", "True")
        who = await fleet.new_person(23)
        async with fleet.person(who) as person:
            await person.say(username, "message 8501")
            await named_once(fleet, who.id, username, [8501])
        assert len(await fleet.model.requests(key=key)) > asked, "the new key is used"
    finally:
        fleet.kubectl(*hanging, json.dumps({"metadata": {"finalizers": None}}))
    assert [pod_of(fleet.cluster, other.namespace, other.name)["metadata"]["uid"] for other in others] == undisturbed


async def test_an_image_that_cannot_be_pulled_stops_at_the_first_wave_and_the_old_values_bring_all_back(
    fleet: Fleet,
) -> None:
    """The first of the alphabet goes first; the others answer on with what they have, and no pod of theirs is touched."""
    first = fleet.simulation.bot("concierge")
    others = [bot for bot in fleet.simulation.bots if bot.name != first.name]
    everybody = json.loads(fleet.kubectl("get", "telegrambots", "-A", "-o", "json"))["items"]
    names = [(bot["metadata"]["namespace"], bot["metadata"]["name"]) for bot in everybody]
    assert min(names) == (first.namespace, first.name)
    await asyncio.to_thread(fleet.wait_condition, first.namespace, first.name, "Ready", "True")
    undisturbed = [pod_of(fleet.cluster, other.namespace, other.name)["metadata"]["uid"] for other in others]
    who = await fleet.new_person(24)
    one_by_one = {"waveSize": 1, "pauseSeconds": 0, "timeoutSeconds": 3}
    try:
        await asyncio.to_thread(fleet.upgrade, image={"tag": "nobody-has-built-it"}, rollout=one_by_one)
        for kind, reason in (("UpToDate", "RolloutFailed"), ("Ready", "ImagePullFailed")):
            await asyncio.to_thread(fleet.wait_condition, first.namespace, first.name, kind, "False", reason)
        async with fleet.person(who) as person:
            await person.say(first.username, "message 8601")
            for number, other in enumerate(others, 8602):
                await person.say(other.username, f"message {number}")
            for number, other in enumerate(others, 8602):
                assert str(number) in (await person.wait_reply(other.username, timeout=REPLY_SECONDS)).text
        for other in others:
            await asyncio.to_thread(
                fleet.wait_condition, other.namespace, other.name, "UpToDate", "False", "RolloutPending"
            )
    finally:
        await asyncio.to_thread(fleet.upgrade)
    for bot in (first, *others):
        await asyncio.to_thread(fleet.wait_condition, bot.namespace, bot.name, "UpToDate", "True")
    await named_once(fleet, who.id, first.username, [8601])
    assert [pod_of(fleet.cluster, other.namespace, other.name)["metadata"]["uid"] for other in others] == undisturbed


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("view", ("get", "list", "watch"), ("create", "patch", "delete")),
        ("edit", ("get", "list", "watch", "create", "update", "patch", "delete"), ()),
        ("admin", ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"), ()),
    ],
)
def test_kubernetes_own_roles_of_people_reach_to_bots_and_to_no_status(
    fleet: Fleet, role: str, may: tuple[str, ...], may_not: tuple[str, ...]
) -> None:
    person = f"somebody-who-may-{role}"
    fleet.kubectl("create", "rolebinding", person, f"--clusterrole={role}", f"--user={person}", "-n", "hotel")

    def can(verb: str, *what: str) -> str:
        try:
            return fleet.kubectl("auth", "can-i", verb, *what, f"--as={person}", "-n", "hotel").split()[-1]
        except CommandFailedError as refused:
            assert "error" not in refused.output.lower()
            return "no"

    kinds = ("telegrambots.botfleet.dev", "telegrambotdefaults.botfleet.dev")
    # The API server's authorizer sees the binding a moment later.
    wait_for(lambda: can("get", kinds[0]) == "yes" or None, 30, lambda: "the binding has no effect")
    asked = {(verb, kind): "yes" if verb in may else "no" for verb in (*may, *may_not) for kind in kinds}
    assert {(verb, kind): can(verb, kind) for verb, kind in asked} == asked
    assert can("get", "telegrambots.botfleet.dev", "--subresource=status") == "yes"
    assert can("patch", "telegrambots.botfleet.dev", "--subresource=status") == "no"


@pytest.fixture(scope="module")
def as_operator(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The kubeconfig of somebody who has stolen the operator's token."""
    token = system(fleet, "create", "token", f"{fleet.release.name}-operator").strip()
    config = yaml.safe_load(Path(fleet.cluster.kubeconfig).read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path = tmp_path_factory.mktemp("stolen") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.mark.parametrize(
    "asked",
    [
        ("get", "nodes"),
        ("create", "pods"),
        ("create", "pods", "--subresource=exec"),
        ("get", "pods", "--subresource=log"),
        ("delete", "pods"),
        ("create", "telegrambots.botfleet.dev"),
        ("delete", "telegrambots.botfleet.dev"),
        ("create", "namespaces"),
        ("list", "persistentvolumeclaims"),
        ("create", "serviceaccounts", "--subresource=token"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
        ("impersonate", "users"),
        ("update", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "validatingwebhookconfigurations.admissionregistration.k8s.io"),
    ],
    ids=" ".join,
)
def test_the_operators_own_token_is_refused_what_it_does_not_need(
    fleet: Fleet, asked: tuple[str, ...], as_operator: str
) -> None:
    assert "yes" in fleet.kubectl("--kubeconfig", as_operator, "auth", "can-i", "list", "telegrambots", "-n", "hotel")
    with pytest.raises(CommandFailedError) as refused:
        fleet.kubectl("--kubeconfig", as_operator, "auth", "can-i", *asked, "-n", "hotel")
    # It says "no" and ends with 1; whatever else goes wrong is called an error.
    assert refused.value.returncode == 1
    assert "error" not in refused.value.output.lower()

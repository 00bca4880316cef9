"""What somebody deletes or edits is back at once; what is not ours stays; an idle fleet is left alone."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
import redis

from tests.integration.operator.harness import ALLOWED_EGRESS, Place, bot_of, container_of, credentials, eventually


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("serviceaccount", "concierge"),
        ("networkpolicy", "concierge"),
        ("configmap", "concierge"),
        ("secret", "concierge-botfleet"),
        ("deployment", "concierge"),
    ],
)
def test_a_deleted_child_is_back(place: Place, kind: str, name: str) -> None:
    place.make()
    before = place.get(kind, name)
    place.kubectl("delete", kind, name)  # no kubelet and no garbage collector: gone at once
    after: Any = eventually(lambda: place.exists(kind, name) and place.get(kind, name))
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after.get("spec") == before.get("spec")
    assert after.get("data") == before.get("data")  # credentials are derived: repair is no rotation


def test_an_edited_child_is_restored(place: Place) -> None:
    place.make()
    place.kubectl("patch", "configmap", "concierge", "--type=merge", '-p={"data":{"bot.yaml":"edited: true"}}')
    eventually(lambda: "edited" not in place.get("configmap", "concierge")["data"]["bot.yaml"])
    place.kubectl("scale", "deployment/concierge", "--replicas=3")
    eventually(lambda: place.get("deployment", "concierge")["spec"]["replicas"] == 1)
    place.kubectl("set", "image", "deployment/concierge", "runner=evil.example/x")
    eventually(lambda: "evil" not in container_of(place.get("deployment", "concierge"))["image"])


OPENINGS = (
    ("json", '[{"op":"add","path":"/spec/egress/-","value":{}}]'),
    ("json", '[{"op":"add","path":"/spec/egress/0/ports/-","value":{"port":22}}]'),
    ("json", '[{"op":"add","path":"/spec/ingress/-","value":{}}]'),
    ("json", '[{"op":"remove","path":"/spec/ingress/0/ports"}]'),
    ("merge", '{"spec":{"policyTypes":["Ingress"]}}'),
    ("merge", '{"spec":{"podSelector":{"matchLabels":{"another":"pod"}}}}'),
)


def test_a_network_policy_that_somebody_opens_is_closed_again(place: Place) -> None:
    """Its lists belong to their owner as a whole, so one rule more is told by our entry as any other edit is."""
    place.make()
    whole = place.get("networkpolicy", "concierge")["spec"]
    for how, patch in OPENINGS:
        said = place.kubectl("patch", "networkpolicy", "concierge", f"--type={how}", f"-p={patch}")
        assert "no change" not in said
        eventually(lambda: place.get("networkpolicy", "concierge")["spec"] == whole, what=patch)


def test_a_rule_that_the_installation_allows_is_opened_and_one_beyond_it_is_refused_with_its_field(
    place: Place,
) -> None:
    place.make(network={"egress": [ALLOWED_EGRESS]})
    policy = place.get("networkpolicy", "concierge")["spec"]
    assert policy["egress"][-1]["to"] == ALLOWED_EGRESS["to"]
    beyond = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
    place.apply(bot_of(network={"egress": [ALLOWED_EGRESS, beyond]}))
    told = place.wait("Accepted", "False", "EgressNotAllowed")
    assert "spec.network.egress[1].to[0]" in told["message"]
    assert place.get("networkpolicy", "concierge")["spec"] == policy, "nothing of it is in force"


def test_a_field_that_somebody_took_away_is_back(place: Place) -> None:
    place.make()
    path = "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem"
    place.kubectl("patch", "deployment", "concierge", "--type=json", f'-p=[{{"op":"remove","path":"{path}"}}]')
    eventually(
        lambda: container_of(place.get("deployment", "concierge"))["securityContext"].get("readOnlyRootFilesystem")
    )
    place.kubectl("label", "configmap", "concierge", "botfleet.dev/bot-")
    eventually(lambda: place.get("configmap", "concierge")["metadata"]["labels"].get("botfleet.dev/bot"))


def test_foreign_containers_volumes_and_variables_are_removed_and_foreign_labels_and_annotations_stay(
    place: Place,
) -> None:
    place.make()
    additions = """
    {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
     "spec": {"template": {
       "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}},
       "spec": {"initContainers": [{"name": "in", "image": "evil"}],
                "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
                "containers": [{"name": "side", "image": "evil", "env": [{"name": "A", "value": "b"}]},
                               {"name": "runner", "env": [{"name": "EVIL", "value": "1"}],
                                "volumeMounts": [{"name": "host", "mountPath": "/host"}]}]}}}}"""
    before = container_of(place.get("deployment", "concierge"))
    place.kubectl("patch", "deployment", "concierge", "--type=strategic", f"-p={additions}")

    def clean() -> bool:
        pod = place.get("deployment", "concierge")["spec"]["template"]["spec"]
        assert [c["name"] for c in pod["containers"]] == ["runner"]
        assert pod["containers"][0] == before
        assert "initContainers" not in pod
        return "host" not in [v["name"] for v in pod["volumes"]]

    eventually(clean)
    deployment = place.get("deployment", "concierge")
    assert deployment["metadata"]["labels"]["team"] == "a"
    assert deployment["metadata"]["annotations"]["note"] == "b"
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["kubectl.kubernetes.io/restartedAt"] == "2026-01-01T00:00:00Z"


def test_a_changed_secret_restarts_only_the_bot_that_uses_it(place: Place) -> None:
    place.make("first", account=11)
    place.make("second", account=12)
    first, second = (place.get("deployment", name) for name in ("first", "second"))
    place.apply(credentials("first", 11)[2] | {"stringData": {"token": "11:AAanother"}})

    def changed() -> bool:
        return bool(place.get("deployment", "first")["metadata"]["generation"] > first["metadata"]["generation"])

    eventually(changed)
    assert place.get("deployment", "second")["metadata"]["generation"] == second["metadata"]["generation"]


def test_a_changed_spec_reaches_the_runner_and_a_mere_touch_does_not(place: Place) -> None:
    place.make()

    def template() -> Any:
        return place.get("deployment", "concierge")["spec"]["template"]

    before = template()
    place.kubectl("label", "telegrambot", "concierge", "touched=yes")
    place.kubectl(
        "patch", "telegrambot", "concierge", "--type=merge", '-p={"spec":{"conversation":{"debounceSeconds":2}}}'
    )
    place.wait("Provisioned", "True")
    assert template() == before  # 2 is the default
    place.kubectl("patch", "telegrambot", "concierge", "--type=merge", '-p={"spec":{"persona":{"prompt":"Another."}}}')
    eventually(lambda: "Another." in place.get("configmap", "concierge")["data"]["bot.yaml"])
    eventually(lambda: template() != before)


def test_a_role_and_a_redis_user_that_somebody_took_away_are_back(place: Place) -> None:
    place.make()
    installation = place.installation
    named = "select role_name from botfleet.bots where namespace = %s"
    ((principal,),) = installation.database.query(named, place.namespace)
    with redis.Redis.from_url(installation.redis.url) as client:
        assert client.acl_deluser(principal) == 1
    with psycopg.connect(installation.database.superuser_dsn, autocommit=True) as superuser:
        superuser.execute(f"drop owned by {principal}")
        superuser.execute(f"drop role {principal}")
    eventually(lambda: principal in installation.redis_users(), what="the user is back")
    eventually(lambda: principal in installation.database.roles(), what="the role is back")


def test_an_idle_fleet_causes_no_write(place: Place) -> None:
    for number in range(3):
        place.make(f"bot-{number}")
    operator = place.installation.operators[0]
    eventually(lambda: operator.metrics()["botfleet_operator_queue_depth"] == 0)
    before = operator.writes()
    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert operator.writes() == before
        time.sleep(0.2)


def test_a_child_that_lost_its_owner_goes_with_the_bot_and_what_has_one_is_left_to_kubernetes(place: Place) -> None:
    place.make()
    place.kubectl("annotate", "telegrambot", "concierge", "botfleet.dev/paused=true")  # else it is repaired at once
    place.wait("Provisioned", "Unknown", "Paused")
    place.kubectl("patch", "deployment", "concierge", "--type=merge", '-p={"metadata":{"ownerReferences":null}}')
    place.kubectl("delete", "telegrambot", "concierge")
    eventually(lambda: not place.exists("deployment", "concierge"))
    assert place.exists("configmap", "concierge"), "no garbage collector runs here"

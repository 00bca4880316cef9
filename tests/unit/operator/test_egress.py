"""Promises of `spec.network.egress`: it is held within what the installation allows, and what is not is named."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from botfleet.conditions import ConditionType, Reason, message
from botfleet.spec import EgressRule
from botfleet_operator.builders import stamped
from botfleet_operator.decide import decide
from botfleet_operator.egress import Network, beyond
from botfleet_operator.kubeapi import ForbiddenError, UnreachableError
from botfleet_operator.network import network_of, renewed
from botfleet_operator.observe import Setting
from botfleet_operator.plan import Apply, Delete, Observed
from botfleet_operator.settings import SettingsError, from_environment
from tests.unit.operator.fakes import FakeApi
from tests.unit.operator.samples import NETWORK, PLATFORM, bot, in_namespace, provisioned, rule, settled
from tests.unit.operator.test_edges import ENVIRONMENT


def egress(*rules: dict[str, Any]) -> tuple[EgressRule, ...]:
    return tuple(EgressRule.model_validate(one) for one in rules)


def block(cidr: str, *excepts: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(excepts)} if excepts else {})}}


def expressions(*requirements: tuple[str, str, list[str]]) -> dict[str, Any]:
    found = [{"key": k, "operator": o, **({"values": v} if v else {})} for k, o, v in requirements]
    return {"podSelector": {"matchExpressions": found}}


def allows(allowed: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether one peer is within another, as the bot of namespace hotel sees them."""
    return not beyond([rule(asked)], Network(allowed=(rule(allowed),)), "hotel")


@pytest.mark.parametrize(
    ("allowed", "asked", "within"),
    [
        (block("10.0.0.0/8"), block("10.0.0.0/8"), True),
        (block("10.0.0.0/8"), block("10.1.0.0/16"), True),
        (block("10.1.0.0/16"), block("10.0.0.0/8"), False),
        (block("10.0.0.0/8"), block("11.0.0.0/8"), False),
        (block("fd00::/8"), block("10.0.0.0/8"), False),
        (block("fc00::/7"), block("fd00:7::/64"), True),
        (block("10.0.0.0/8", "10.9.0.0/16"), block("10.1.0.0/16"), True),
        (block("10.0.0.0/8", "10.9.0.0/16"), block("10.9.1.0/24"), False),
        (block("10.0.0.0/8", "10.9.0.0/16"), block("10.8.0.0/15"), False),
        (block("10.0.0.0/8", "10.9.0.0/16"), block("10.8.0.0/15", "10.9.0.0/16"), True),
        (block("10.0.0.0/8", "10.9.0.0/16"), block("10.8.0.0/15", "10.9.0.0/17"), False),
        (block("0.0.0.0/0"), in_namespace("models"), False),
        ({"namespaceSelector": {}}, block("10.0.0.0/8"), False),
        ({"namespaceSelector": {}}, in_namespace("models", app="a"), True),
        (in_namespace("models"), in_namespace("models", app="a"), True),
        (in_namespace("models", app="a"), in_namespace("models"), False),
        (in_namespace("models", app="a"), in_namespace("models", app="b"), False),
        (in_namespace("models"), in_namespace("others"), False),
        (in_namespace("models"), {"namespaceSelector": {}}, False),
        ({"podSelector": {}}, {"podSelector": {"matchLabels": {"a": "b"}}}, True),
        (in_namespace("hotel"), {"podSelector": {}}, True),
        ({"podSelector": {}}, in_namespace("hotel"), True),
        ({"podSelector": {}}, in_namespace("models"), False),
        (in_namespace("models"), {"podSelector": {}}, False),
        (expressions(("a", "In", ["x", "y"])), {"podSelector": {"matchLabels": {"a": "x"}}}, True),
        (expressions(("a", "In", ["x"])), expressions(("a", "In", ["x", "y"])), False),
        (expressions(("a", "Exists", [])), expressions(("a", "In", ["x"])), True),
        (expressions(("a", "Exists", [])), expressions(("a", "NotIn", ["x"])), False),
        (expressions(("a", "NotIn", ["x"])), expressions(("a", "In", ["y"])), True),
        (expressions(("a", "NotIn", ["x"])), expressions(("a", "In", ["x", "y"])), False),
        (expressions(("a", "NotIn", ["x"])), expressions(("a", "NotIn", ["x", "y"])), True),
        (expressions(("a", "NotIn", ["x"])), expressions(("a", "DoesNotExist", [])), True),
        (expressions(("a", "DoesNotExist", [])), expressions(("a", "NotIn", ["x"])), False),
        (expressions(("a", "DoesNotExist", [])), expressions(("a", "DoesNotExist", []), ("b", "Exists", [])), True),
    ],
)
def test_a_peer_is_allowed_when_all_that_it_selects_is(
    allowed: dict[str, Any], asked: dict[str, Any], within: bool
) -> None:
    assert allows(allowed, asked) is within


@pytest.mark.parametrize(
    ("ports", "asked", "within"),
    [
        (None, [{"port": 1}], True),
        (None, None, True),
        ([{"port": 1}], None, False),
        ([{"port": 80}, {"port": 443}], [{"port": 443, "protocol": "TCP"}], True),
        ([{"port": 443}], [{"port": 443, "protocol": "UDP"}], False),
        ([{"port": 8000, "endPort": 9000}], [{"port": 8000, "endPort": 8100}, {"port": 9000}], True),
        ([{"port": 8000, "endPort": 9000}], [{"port": 8000, "endPort": 9001}], False),
    ],
)
def test_a_port_is_allowed_when_a_rule_for_its_peer_has_it(
    ports: list[dict[str, Any]] | None, asked: list[dict[str, Any]] | None, within: bool
) -> None:
    peer = block("10.0.0.0/8")
    allowed = egress({"to": [peer], **({"ports": ports} if ports else {})}, {"to": [block("11.0.0.0/8")]})
    found = beyond(egress({"to": [peer], **({"ports": asked} if asked else {})}), Network(allowed=allowed), "hotel")
    assert (found == []) is within


def observed(*rules: EgressRule, of: Any = settled, network: Network | None = NETWORK) -> Observed:
    record = bot(network={"egress": [one.to_wire() for one in rules]})
    return of(record, platform=replace(PLATFORM, network=network))


MODELS = rule(in_namespace("models", app="large"), ports=(8000,))


@pytest.mark.parametrize(
    ("asked", "reason", "told"),
    [
        (rule(in_namespace("other")), Reason.EGRESS_NOT_ALLOWED, "spec.network.egress[1].to[0] is more"),
        (rule(in_namespace("models"), block("10.20.0.0/24")), Reason.EGRESS_NOT_ALLOWED, "spec.network.egress[1].ports (to[1]) is more"),
        (rule(block("10.20.0.0/24"), ports=(8000, 22)), Reason.EGRESS_NOT_ALLOWED, "spec.network.egress[1].ports[1] (to[0]) is more"),
        (rule(block("169.254.169.254/32")), Reason.EGRESS_FORBIDDEN, "egress[1].to[0].ipBlock is 169.254.169.254/32"),
        (rule(block("10.20.0.5/32"), ports=(8000,)), Reason.EGRESS_FORBIDDEN, "no bot may reach 10.20.0.5/32"),
        (rule(block("::/0")), Reason.EGRESS_FORBIDDEN, "outside of 2000::/3"),
        (rule(block("::ffff:0.0.0.0/96")), Reason.EGRESS_FORBIDDEN, "outside of 2000::/3"),
    ],
)  # fmt: skip
def test_a_rule_beyond_the_allowance_is_refused_with_its_field_and_makes_nothing(
    asked: EgressRule, reason: Reason, told: str
) -> None:
    plan = decide(observed(MODELS, asked, of=provisioned))
    assert plan.steps == ()
    (verdict,) = [v for v in plan.verdicts if v.type is ConditionType.ACCEPTED]
    assert (verdict.status, verdict.reason) == ("False", reason)
    assert told in message(reason, **verdict.values)


def test_a_rule_within_the_allowance_is_in_the_policy() -> None:
    plan = decide(observed(MODELS, of=provisioned))
    (policy,) = [s.manifest for s in plan.steps if isinstance(s, Apply) and s.kind == "NetworkPolicy"]
    assert policy["spec"]["egress"][-1]["to"] == [in_namespace("models", app="large")]


def test_when_the_allowance_shrinks_the_policy_loses_the_rule_and_the_rest_of_the_bot_is_left_alone() -> None:
    here = rule(block("10.20.0.0/24"), ports=(8000,))
    before = observed(MODELS, here)
    assert decide(before).steps == ()
    after = replace(before, platform=replace(PLATFORM, network=replace(NETWORK, allowed=NETWORK.allowed[:1])))
    plan = decide(after)
    (step,) = plan.steps
    assert isinstance(step, Apply)
    assert step.kind == "NetworkPolicy"
    assert "10.20.0.0/24" not in str(step.manifest)
    assert in_namespace("models", app="large") in step.manifest["spec"]["egress"][-1]["to"], "what is allowed stays"
    child = replace(before.children["NetworkPolicy"], applied_hash=_hash(step.manifest))
    assert decide(replace(after, children={**after.children, "NetworkPolicy": child})).steps == ()


def _hash(manifest: dict[str, Any]) -> str:
    return str(manifest["metadata"]["annotations"]["botfleet.dev/applied-hash"])


def test_where_bots_have_no_policies_those_that_were_made_are_removed_and_a_foreign_one_is_left_alone() -> None:
    without = observed(network=None)
    policy = settled().children["NetworkPolicy"]
    there = replace(without, children={**without.children, "NetworkPolicy": policy})
    assert decide(there).steps == (Delete(policy),)
    leaving = replace(policy, deleting=True)
    assert decide(replace(there, children={**without.children, "NetworkPolicy": leaving})).steps == ()
    foreign = replace(policy, fields=None, applied_hash=None, controller_uid=None)
    plan = decide(replace(there, children={**without.children, "NetworkPolicy": foreign}))
    assert plan.steps == ()
    assert all(v.reason is not Reason.NAME_CONFLICT for v in plan.verdicts)


def test_a_foreign_policy_of_the_bots_name_is_a_conflict_and_nothing_is_made() -> None:
    whole = observed()
    foreign = replace(whole.children["NetworkPolicy"], fields=None, applied_hash=None, controller_uid=None)
    plan = decide(replace(whole, children={"NetworkPolicy": foreign}))
    assert plan.steps == ()
    assert any(v.reason is Reason.NAME_CONFLICT for v in plan.verdicts)


@pytest.mark.parametrize("part", ["f:ingress", "f:egress", "f:podSelector", "f:policyTypes"])
def test_a_policy_that_somebody_opened_is_restored(part: str) -> None:
    whole = settled()
    policy = whole.children["NetworkPolicy"]
    fields = {**(policy.fields or {})}
    fields["f:spec"] = {k: v for k, v in fields["f:spec"].items() if k != part}
    (step,) = decide(replace(whole, children={**whole.children, "NetworkPolicy": replace(policy, fields=fields)})).steps
    assert isinstance(step, Apply)
    assert step.manifest == stamped(step.manifest | {"metadata": _bare(step.manifest)})


def _bare(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest["metadata"], "annotations": {}}


class Api(FakeApi):
    server = "https://10.96.0.1:443"


async def test_the_api_servers_addresses_are_those_of_its_service_and_those_behind_it() -> None:
    api: Any = Api()
    metadata = {"namespace": "default", "name": "kubernetes"}
    api.store(
        "EndpointSlice",
        {"metadata": metadata, "endpoints": [{"addresses": ["203.0.113.6"]}, {"addresses": ["fd00::6"]}]},
    )
    settings = from_environment({**ENVIRONMENT, **SWITCHED_ON})
    network = await network_of(settings, api)
    assert network is not None
    assert [str(one) for one in network.denied] == ["198.51.100.0/24", "10.96.0.1/32", "203.0.113.6/32", "fd00::6/128"]
    assert await network_of(from_environment(ENVIRONMENT), api) is None


async def test_without_the_right_to_read_them_the_service_address_is_known_and_a_name_is_none() -> None:
    api: Any = Api()
    api.errors["get"] = ForbiddenError("no", status=403)
    network = await network_of(from_environment({**ENVIRONMENT, **SWITCHED_ON}), api)
    assert network is not None
    assert [str(one) for one in network.denied] == ["198.51.100.0/24", "10.96.0.1/32"]
    api.server = "https://kubernetes.example:6443"
    network = await network_of(from_environment({**ENVIRONMENT, **SWITCHED_ON}), api)
    assert network is not None
    assert [str(one) for one in network.denied] == ["198.51.100.0/24"]


async def test_an_api_server_that_moves_is_followed_and_one_that_does_not_answer_changes_nothing() -> None:
    api: Any = Api()
    settings = from_environment({**ENVIRONMENT, **SWITCHED_ON})
    setting = await renewed(Setting(PLATFORM, {}), settings, api)
    assert setting.platform.network is not None
    assert ip_network("203.0.113.6/32") not in setting.platform.network.denied
    metadata = {"namespace": "default", "name": "kubernetes"}
    api.store("EndpointSlice", {"metadata": metadata, "endpoints": [{"addresses": ["203.0.113.6"]}]})
    moved = await renewed(setting, settings, api)
    assert moved.platform.network is not None
    assert ip_network("203.0.113.6/32") in moved.platform.network.denied
    api.errors["get"] = UnreachableError("away")
    assert await renewed(moved, settings, api) is moved


SWITCHED_ON = {"BOTFLEET_NETWORK_POLICIES": "true", "BOTFLEET_NETWORK_DENIED_ADDRESSES": "198.51.100.0/24,"}


async def test_what_the_clusters_defaults_ask_for_is_allowed() -> None:
    asked = '{"network": {"egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 8000}]}]}}'
    settings = from_environment({**ENVIRONMENT, **SWITCHED_ON, "BOTFLEET_BOT_DEFAULTS": asked})
    api: Any = Api()
    network = await network_of(settings, api)
    assert network is not None
    assert beyond([rule(in_namespace("models"), ports=(8000,))], network, "hotel") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NETWORK_SERVERS", '[{"to": []}]'),
        ("NETWORK_ALLOWED_EGRESS", '[{"to": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]'),
        ("NETWORK_DENIED_ADDRESSES", "10.0.0.1/8"),
        ("NETWORK_METRICS_FROM", "[{}]"),
        ("NETWORK_METRICS_FROM", "["),
    ],
)
def test_a_setting_of_the_network_that_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"BOTFLEET_{name}"):
        from_environment({**ENVIRONMENT, f"BOTFLEET_{name}": value})

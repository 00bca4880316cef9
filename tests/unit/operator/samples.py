"""Bots, Secrets and children as the operator sees them, for tests of what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import yaml

from botfleet.digest import credential_digest, spec_digest
from botfleet.effective import effective
from botfleet.health import Health
from botfleet.spec import EgressRule, TelegramBotSpec
from botfleet_operator.acceptance import Accepted, accept
from botfleet_operator.builders import Platform
from botfleet_operator.decide import build_all
from botfleet_operator.egress import Network
from botfleet_operator.fields import Fields
from botfleet_operator.judgement import credentials_mark
from botfleet_operator.model import (
    BotRecord,
    ChildRecord,
    DeploymentState,
    PodRecord,
    SecretRecord,
    secret_record,
)
from botfleet_operator.names import ANNOTATION_APPLIED, ANNOTATION_ROLLED_OUT
from botfleet_operator.plan import BoundAccount, Heartbeat, Identity, Observed, OwnSecrets
from botfleet_operator.podtemplate import named_lists, template_record

FOLDER = Path(__file__).parent / "golden"
KEY = b"k" * 32
TOKEN = "4242:AAplanted-token"


def rule(*peers: Mapping[str, Any], ports: tuple[int, ...] = ()) -> EgressRule:
    """To these peers on these ports (TCP); without ports: on all."""
    return EgressRule.model_validate({"to": list(peers), "ports": [{"port": port} for port in ports] or None})


def in_namespace(name: str, **pods: str) -> dict[str, Any]:
    """The pods with these labels there, as a peer."""
    whole: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    return whole | ({"podSelector": {"matchLabels": pods}} if pods else {})


# A cluster whose API server has a private address behind the Service's, and one more in public space.
API_SERVER = tuple(ip_network(text) for text in ("10.96.0.1/32", "10.20.0.5/32", "198.51.100.7/32", "2001:db8::7/128"))
NETWORK = Network(
    servers=(
        rule(in_namespace("botfleet", **{"app.kubernetes.io/component": "postgres"}), ports=(5432,)),
        rule({"ipBlock": {"cidr": "10.30.0.9/32"}}, ports=(6379,)),
    ),
    allowed=(
        rule(in_namespace("models")),
        EgressRule.model_validate(
            {"to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}], "ports": [{"port": 8000, "endPort": 9000}]}
        ),
    ),
    denied=API_SERVER,
)
PLATFORM = Platform(
    image="registry.example/botfleet/runner:1",
    image_pull_secrets=("registry",),
    database_url="postgresql://postgres.botfleet.svc:5432/botfleet",
    redis_url="redis://redis.botfleet.svc:6379/0",
    installation_id="0a1b2c3d",
    network=NETWORK,
)
IDENTITY = Identity("b" * 32, "11111111-1111-1111-1111-111111111111", "bf_0a1b2c3d_bbbb", "bf_0a1b2c3d_bbbb", 1, 1)
OWN = OwnSecrets("planted-database", "planted-redis", "planted-session")


@cache
def _parsed(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))


def document(name: str) -> dict[str, Any]:
    """A copy of its own for each who asks: reading one takes longer than most tests."""
    return deepcopy(_parsed(name))


def bot(name: str = "minimal", *, status: Mapping[str, Any] | None = None, **spec: Any) -> BotRecord:
    body = document(name)
    metadata = body["metadata"]
    return BotRecord(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        7,
        3,
        False,
        {**body["spec"], **spec},
        dict(status or {}),
    )


def secret(name: str, *, labels: Mapping[str, str] | None = None, **values: str) -> SecretRecord:
    import base64

    data = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {
        "namespace": "hotel",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": "5",
        "labels": labels or {},
    }
    return secret_record({"metadata": metadata, "data": data}, KEY)


def secrets() -> dict[str, SecretRecord]:
    """Everything that both golden bots need."""
    made = [
        secret("telegram-app", api_id="123", api_hash="abc"),
        secret("concierge", token=TOKEN),
        secret("openai", api_key="planted-model-key"),
        secret("telegram", api_id="123", api_hash="abc", session="1planted-session"),
        secret("model", key="planted-model-key"),
        secret("second", key="planted-fallback-key"),
        secret("voices", key="planted-voices-key"),
    ]
    server = secret("server", pem="planted")
    return {s.name: s for s in [*made, replace(server, keys={"public.pem": server.keys["pem"]})]}


def accepted(record: BotRecord) -> Accepted:
    result = accept(record, {}, secrets())
    assert isinstance(result, Accepted), result
    return result


def observed(record: BotRecord | None = None, **changes: Any) -> Observed:
    """A bot of which nothing is made yet."""
    record = record or bot()
    return replace(Observed(bot=record, platform=PLATFORM, defaults={}, secrets=secrets(), looked_up=True), **changes)


def provisioned(record: BotRecord | None = None, **changes: Any) -> Observed:
    """A bot with its row, its binding, its role and its user."""
    record = record or bot()
    verdict = accepted(record)
    bound = BoundAccount(verdict.account_key, verdict.credential_digest, proved=True)
    settled = {
        "identity": replace(IDENTITY, uid=record.uid), "own": OWN, "role_ready": True, "user_ready": True, "bound": (bound,),
    }  # fmt: skip
    return observed(record, **{**settled, **changes})


def settled(record: BotRecord | None = None, **changes: Any) -> Observed:
    """A bot of which everything is made as it should be."""
    base = provisioned(record)
    manifests = build_all(base, accepted(base.bot))
    children = {m["kind"]: child(m, base.bot) for m in manifests}
    return replace(base, **{"children": children, **changes})


def child(manifest: dict[str, Any], owner: BotRecord) -> ChildRecord:
    """The record of a child that is exactly as it was applied."""
    metadata = manifest["metadata"]
    state = None
    if manifest["kind"] == "Deployment":
        spec = manifest["spec"]
        replicas = spec["replicas"]
        state = DeploymentState(1, replicas, replicas, named_lists(spec["template"]["spec"]))
    annotations, fields = metadata["annotations"], fields_of(manifest)
    return ChildRecord(
        kind=manifest["kind"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=f"uid-{manifest['kind']}",
        version=9,
        generation=1,
        bot=owner.name,
        controller_uid=owner.uid,
        applied_hash=annotations[ANNOTATION_APPLIED],
        fields=fields,
        deleting=False,
        deployment=state,
        template=template_record(annotations, fields, ()),
        owned=True,
        rolled_out=annotations.get(ANNOTATION_ROLLED_OUT, ""),
    )


ATOMIC = {
    "matchLabels", "sources", "tolerations", "args", "drop", "selector", "nodeSelectorTerms", "ownerReferences",
    "podSelector", "policyTypes", "ingress", "egress",
}  # fmt: skip
LIST_KEYS = ("containerPort", "mountPath", "name")


def fields_of(manifest: dict[str, Any]) -> Fields:
    """A managedFields entry for a manifest, made as the API server makes it."""
    content = {k: v for k, v in manifest.items() if k not in ("apiVersion", "kind")}
    content["metadata"] = {k: v for k, v in manifest["metadata"].items() if k not in ("name", "namespace")}
    return _fields(content)


def _fields(value: Any) -> Fields:
    if isinstance(value, dict):
        return {
            f"f:{k}": {} if k in ATOMIC or not isinstance(v, (dict, list)) else _fields(v) for k, v in value.items()
        }
    result: Fields = {}
    for element in value:
        key = next(name for name in LIST_KEYS if name in element)
        keys = {key: element[key]} | ({"protocol": element["protocol"]} if key == "containerPort" else {})
        result["k:" + _json(keys)] = {".": {}, **_fields(element)}
    return result


def _json(value: Any) -> str:
    import json

    return json.dumps(value, separators=(",", ":"))


def health(record: BotRecord, **changes: Any) -> Health:
    digest = spec_digest(effective(TelegramBotSpec.model_validate(record.spec)))
    return Health(spec_digest=digest, **{"connected": True, "authorized": True, "account_id": 4242, **changes})


def heartbeat(record: BotRecord, *, holder: str | None = "pod-1", alive: bool = True, silent: bool = False,
              **changes: Any) -> Heartbeat:  # fmt: skip
    return Heartbeat(holder, alive, silent, health(record, **changes))


def pod(uid: str = "pod-1", **changes: Any) -> PodRecord:
    base = PodRecord("hotel", f"concierge-{uid}", uid, 3, "concierge", False, True, False, None, False, None)
    return replace(base, **changes)


def fresh_pod(record: BotRecord | None = None, **changes: Any) -> PodRecord:
    """A pod that was made with the credentials as they are now."""
    record = record or bot()
    identity = provisioned(record).identity
    assert identity is not None
    return pod(**{"credentials": credentials_mark(accepted(record), identity), **changes})


def account(name: str) -> dict[str, Any]:
    return {
        "type": "Bot",
        "apiCredentialsSecretRef": {"name": "telegram-app"},
        "botTokenSecretRef": {"name": name, "key": "token"},
    }


DIGEST = credential_digest(TOKEN)

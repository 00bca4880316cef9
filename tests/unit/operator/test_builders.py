"""What a bot's children look like: golden files. BOTFLEET_UPDATE_GOLDEN=1 writes them anew; read the difference."""

from __future__ import annotations

import os
from typing import Any

import pytest
import yaml

from botfleet.manifest import parse_bot
from botfleet_operator.builders import applied_hash, stamped
from botfleet_operator.builders.deployment import with_user
from botfleet_operator.decide import KINDS, build_all
from botfleet_operator.names import ANNOTATION_APPLIED
from tests.unit.operator.samples import FOLDER, accepted, bot, provisioned


def built(name: str) -> dict[str, dict[str, Any]]:
    record = bot(name)
    return {m["kind"]: m for m in build_all(provisioned(record), accepted(record))}


@pytest.mark.parametrize("name", ["minimal", "maximal"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_child_is_built_as_its_golden_file_says(name: str, kind: str) -> None:
    text = yaml.safe_dump(built(name)[kind], sort_keys=True, allow_unicode=True)
    golden = FOLDER / name / f"{kind.lower()}.yaml"
    if os.environ.get("BOTFLEET_UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("name", ["minimal", "maximal"])
def test_the_runner_gets_a_manifest_that_single_bot_mode_could_read(name: str) -> None:
    document = yaml.safe_load(built(name)["ConfigMap"]["data"]["bot.yaml"])
    parsed = parse_bot(document, "the ConfigMap")
    assert parsed.spec.workload is None
    assert parsed.spec.persona is not None


@pytest.mark.parametrize("name", ["minimal", "maximal"])
def test_no_secret_is_in_an_environment_or_a_configmap(name: str) -> None:
    children = built(name)
    for kind in set(KINDS) - {"Secret"}:
        assert "planted" not in yaml.safe_dump(children[kind])


def test_a_pod_meets_the_restricted_standard() -> None:
    pod = built("minimal")["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert {v["name"] for v in pod["volumes"]} == {"config", "secrets", "own", "tmp"}


def test_the_hash_says_what_was_applied_and_not_itself() -> None:
    once = built("minimal")["ConfigMap"]
    annotations = {k: v for k, v in once["metadata"]["annotations"].items() if k != ANNOTATION_APPLIED}
    bare = {**once, "metadata": {**once["metadata"], "annotations": annotations}}
    assert stamped(bare) == once
    other = {**bare, "data": {"bot.yaml": "else"}}
    assert applied_hash(other) != applied_hash(bare)


def test_a_url_gets_its_user_and_keeps_its_query() -> None:
    assert with_user("postgresql://h:1/d?sslmode=require", "me") == "postgresql://me@h:1/d?sslmode=require"
    assert with_user("redis://other@h:1/0", "me") == "redis://me@h:1/0"

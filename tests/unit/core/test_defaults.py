"""Promises of defaults: which layer wins, what they may set, and where a file's defaults count."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from botfleet.crd import defaults_crd, render_defaults
from botfleet.defaults import check_defaults
from botfleet.digest import spec_digest
from botfleet.effective import effective, with_prompt
from botfleet.manifest import ManifestError, load, parse_bot, parse_defaults
from botfleet.spec import BotDefaults, TelegramBotSpec
from tests.unit.core.test_spec import MINIMAL, REFERENCE, bot

ROOT = Path(__file__).parents[3]
DEFAULTS: dict[str, Any] = {
    "apiVersion": "botfleet.dev/v1alpha1",
    "kind": "TelegramBotDefaults",
    "metadata": {"name": "default"},
    "spec": {"model": {"name": "of-the-namespace"}},
}


def document(namespace: str | None = None, name: str = "default", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {**deepcopy(DEFAULTS), "metadata": metadata, "spec": spec}


def test_the_bot_wins_over_its_namespace_that_over_the_cluster_and_that_over_what_is_built_in() -> None:
    spec = parse_bot(bot(spec__model__timeoutSeconds=1, spec__model__name=None), "here").spec
    namespace = {"model": {"name": "near", "timeoutSeconds": 2, "maxOutputTokens": 2}, "admins": [2]}
    cluster = {"model": {"name": "far", "maxOutputTokens": 3, "requestsPerMinute": 3}, "admins": [3, 4]}
    model = effective(spec, namespace, cluster).model
    assert (model.name, model.timeout_seconds, model.max_output_tokens) == ("near", 1, 2)
    assert (model.requests_per_minute, model.max_image_bytes) == (3, 2_000_000)
    assert effective(spec, namespace, cluster).admins == (2,), "a list is taken whole"


def test_a_layer_that_says_the_prompt_has_said_where_it_comes_from_too() -> None:
    source = {"configMapKeyRef": REFERENCE}
    with_text = parse_bot(MINIMAL, "here").spec
    persona = effective(with_text, {"persona": {"promptFrom": source, "disclosure": "OnRequest"}}).persona
    assert (persona.prompt, persona.prompt_from, persona.disclosure) == ("You are the concierge.", None, "OnRequest")
    with_source = parse_bot(bot(spec__persona={"promptFrom": source}), "here").spec
    persona = effective(with_source, {"persona": {"prompt": "You are of the house."}}).persona
    assert persona.prompt_from is not None
    assert persona.prompt == ""


def test_a_prompt_that_was_read_takes_the_place_of_a_configmap_and_is_never_told_of_a_secret() -> None:
    for kind, told in (("configMapKeyRef", {"prompt": "You are Ada."}), ("secretKeyRef", None)):
        source = {"promptFrom": {kind: REFERENCE}}
        spec = effective(parse_bot(bot(spec__persona=source), "here").spec)
        read = with_prompt(spec, "You are Ada.")
        assert read.persona.prompt == "You are Ada."
        assert read.to_spec().to_wire()["persona"] == {**(told or source), "disclosure": "FirstReply"}
        assert (spec_digest(read) == spec_digest(spec)) is (kind == "secretKeyRef")


def test_no_layer_is_changed_by_merging_it() -> None:
    spec = parse_bot(MINIMAL, "here").spec
    near: dict[str, Any] = {"limits": {"budget": {}}}
    far: dict[str, Any] = {"limits": {"concurrentReplies": 7}}
    before = deepcopy((near, far))
    assert effective(spec, near, far).limits.concurrent_replies == 7
    assert (near, far) == before


def test_defaults_set_every_part_of_a_spec_but_what_is_one_bots_alone() -> None:
    parts = set(TelegramBotSpec.model_json_schema()["properties"])
    assert set(BotDefaults.model_json_schema()["properties"]) == parts - {"suspend", "deletionPolicy"}


@pytest.mark.parametrize(
    "layer",
    [
        {"suspend": True},
        {"deletionPolicy": "Retain"},
        {"account": {"type": "Bot"}},
        {"account": {"apiCredentialsSecretRef": {"name": "app"}}},
        {"account": {"botTokenSecretRef": {"name": "bot", "key": "token"}}},
        {"account": {"sessionSecretRef": {"name": "bot", "key": "session"}}},
        {"schedule": {"timeZone": "Asia/Bishkek"}},
        {"modle": {}},
    ],
)
def test_what_no_default_can_say_is_refused(layer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check_defaults(layer)
    with pytest.raises(ManifestError):
        parse_defaults(document(**layer), "here")


def test_one_object_a_namespace_has_the_defaults() -> None:
    assert parse_defaults(DEFAULTS, "here").spec.model is not None
    with pytest.raises(ManifestError, match=r"write metadata\.name: default"):
        parse_defaults(document(name="other"), "here")


def test_the_crd_of_the_defaults_is_the_generated_one_small_and_without_defaults_of_its_own() -> None:
    text = render_defaults()
    assert (ROOT / "crds/telegrambotdefaults.yaml").read_text() == text, "run: make generate"
    assert len(text) < 100_000
    assert "default:" not in text.replace("metadata.name: default", "")
    assert defaults_crd()["metadata"]["name"] == "telegrambotdefaults.botfleet.dev"


def files(folder: Path, *documents: dict[str, Any]) -> list[Path]:
    paths = [folder / f"{number}.yaml" for number in range(len(documents))]
    for path, one in zip(paths, documents, strict=True):
        path.write_text(yaml.safe_dump(one))
    return paths


def test_defaults_in_the_files_of_a_bot_alone_are_those_of_its_namespace(tmp_path: Path) -> None:
    here, there = bot(metadata__namespace="hotel"), bot(metadata__namespace="spa", metadata__name="spa")
    read = load(*files(tmp_path, document("hotel", model={"timeoutSeconds": 5}), here, there))
    assert read.defaults_of(read.only_bot("concierge")) == {"model": {"timeoutSeconds": 5}}
    assert read.defaults_of(read.only_bot("spa")) == {}
    same = load(*files(tmp_path, MINIMAL, document("default", admins=[5])))
    assert same.defaults_of(same.only_bot()) == {"admins": [5]}, "who says no namespace means default"


def test_defaults_that_would_say_nothing_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no TelegramBot of these files is in hotel; they are in: default"):
        load(*files(tmp_path, MINIMAL, document("hotel", admins=[5])))
    with pytest.raises(ManifestError, match="the second TelegramBotDefaults of the namespace default"):
        load(*files(tmp_path, MINIMAL, document(admins=[5]), document("default", admins=[6])))
    with pytest.raises(ManifestError, match=r"spec.persona.promt: unknown field; did you mean spec.persona.prompt\?"):
        load(*files(tmp_path, MINIMAL, document(persona={"promt": "x"})))


def test_the_example_is_two_bots_with_one_model_and_a_prompt_each() -> None:
    read = load(ROOT / "examples/defaults/hotel.yaml")
    for one in read.bots:
        spec = effective(one.spec, read.defaults_of(one))
        source = spec.persona.prompt_from
        assert source is not None
        assert source.config_map_key_ref is not None
        assert spec.model.name == "gpt-5-mini"
        assert "Hotel" in read.config_maps[source.config_map_key_ref.name][source.config_map_key_ref.key]
    assert [effective(one.spec, read.defaults_of(one)).model.max_output_tokens for one in read.bots] == [400, 200]


def test_what_the_page_shows_is_right() -> None:
    blocks = [
        yaml.safe_load(part.split("```")[0]) for part in (ROOT / "docs/defaults.md").read_text().split("```yaml\n")[1:]
    ]
    assert parse_defaults(blocks[0], "the page").spec.limits is not None
    assert parse_bot({**MINIMAL, "spec": {**MINIMAL["spec"], **blocks[1]["spec"]}}, "the page").spec.persona is not None

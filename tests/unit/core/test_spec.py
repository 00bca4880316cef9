"""Promises of the TelegramBot model: what is refused, and what the refusal tells the owner to write."""

from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from botfleet.crd import crd, render, structural_schema
from botfleet.defaults import BUILT_IN
from botfleet.digest import spec_digest
from botfleet.effective import IncompleteError, effective
from botfleet.manifest import ManifestError, parse_bot
from botfleet.model import Price
from botfleet.spec import TelegramBot, TelegramBotSpec
from botfleet.spec.schedule import MESSAGE
from botfleet.spec.workload import quantity

ROOT = Path(__file__).parents[3]

MINIMAL: dict[str, Any] = {
    "apiVersion": "botfleet.dev/v1alpha1",
    "kind": "TelegramBot",
    "metadata": {"name": "concierge"},
    "spec": {
        "account": {
            "type": "Bot",
            "apiCredentialsSecretRef": {"name": "telegram-app"},
            "botTokenSecretRef": {"name": "concierge", "key": "token"},
        },
        "persona": {"prompt": "You are the concierge."},
        "model": {"name": "gpt-5-mini", "apiKeySecretRef": {"name": "openai", "key": "api-key"}},
    },
}


REFERENCE = {"name": "house", "key": "concierge"}
HOURS = [{"days": ["Mon"], "from": "09:00", "to": "18:00"}]


def bot(**changes: Any) -> dict[str, Any]:
    """The minimal object with `path=value` changes; `__` separates levels, None removes."""
    out = deepcopy(MINIMAL)
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = out
        for parent in parents:
            at = at.setdefault(parent, {})
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return out


def test_the_minimal_object_is_accepted_and_comes_back_as_it_was_written() -> None:
    parsed = parse_bot(MINIMAL, "here")
    assert parsed.spec.to_wire() == MINIMAL["spec"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"spec__persona__promt": "x"}, "spec.persona.promt: unknown field"),
        ({"spec__persona__prompt": ""}, "write who the bot is"),
        ({"spec__persona__prompt": " \n"}, "write who the bot is"),
        ({"spec__schedule": {"timeZone": "Asia/Bishkek"}}, "spec.schedule.workingHours: "),
        ({"spec__proactive": {"prompt": " "}}, 'for example "Ask how the stay was."'),
        ({"spec__proactive": {"afterSilenceHours": 0}}, "spec.proactive.afterSilenceHours"),
        (
            {"spec__schedule__timeZone": "Europe/Atlantis", "spec__schedule__workingHours": HOURS},
            "such as Asia/Bishkek",
        ),
        ({"spec__schedule__timeZone": "posix", "spec__schedule__workingHours": HOURS}, "such as Asia/Bishkek"),
        ({"spec__schedule__timeZone": "../etc", "spec__schedule__workingHours": HOURS}, "spec.schedule.timeZone"),
        (
            {"spec__schedule": {"timeZone": "UTC", "workingHours": [{"days": ["Mon"], "from": "9:00", "to": "25:00"}]}},
            "spec.schedule.workingHours.0.from",
        ),
        (
            {"spec__access__users__allow": [-100500]},
            "spec.access.users.allow.0: must be greater than or equal to 1",
        ),
        ({"spec__limits__concurrentReplies": 0}, "spec.limits.concurrentReplies"),
        ({"spec__model__temperature": 9}, "temperature must lie between 0 and 2"),
        ({"spec__model__baseUrl": "api.openai.com"}, "baseUrl must be a URL such as https://"),
        ({"spec__model__fallbacks": [{"name": "f"}] * 4}, "spec.model.fallbacks"),
        ({"spec__model__fallbacks": [{"temperature": 0.1}]}, "spec.model.fallbacks.0.name"),
        ({"spec__model__fallbacks": [{"name": "f", "fallbacks": []}]}, "fallbacks: unknown field"),
        ({"spec__model__fallbacks": [{"name": "f", "baseUrl": "http://b.invalid/v1"}]}, "has a key of its own"),
        ({"spec__model__transcription": {"name": "t", "baseUrl": "http://b.invalid/v1"}}, "has a key of its own"),
        ({"spec__model__maxImageBytes": 100}, "spec.model.maxImageBytes"),
        ({"spec__model__pricePerMillionTokens": {"input": 1}}, "spec.model.pricePerMillionTokens.output"),
        ({"spec__model__pricePerMillionTokens": {"input": -1, "output": 1}}, "greater than or equal to 0"),
        ({"spec__limits": {"budget": {"tokensPerDay": -1}}}, "spec.limits.budget.tokensPerDay"),
        ({"spec__conversation": {"unavailableText": ""}}, "spec.conversation.unavailableText"),
        ({"spec__account__sessionSecretRef": {"name": "s", "key": "k"}}, "give botTokenSecretRef"),
        ({"spec__account__botTokenSecretRef": None}, "give botTokenSecretRef"),
        ({"spec__account__type": "User"}, "give sessionSecretRef"),
        ({"spec__conversation": {"debounceSeconds": "two"}}, "spec.conversation.debounceSeconds"),
        ({"metadata__name": "x" * 51}, "at most 50 characters"),
        ({"metadata__name": "a.b"}, "no dot"),
        ({"apiVersion": "botfleet.dev/v9"}, "update this program"),
        ({"spec__deletionPolicy": "Burn"}, "spec.deletionPolicy"),
        ({"spec__persona__disclosure": "Off"}, "spec.persona.disclosure"),
        ({"spec__persona__promptFrom": {"configMapKeyRef": REFERENCE}}, "the prompt is said twice"),
        ({"spec__persona": {"promptFrom": {}}}, "promptFrom has one source: give configMapKeyRef"),
        (
            {"spec__persona": {"promptFrom": {"configMapKeyRef": REFERENCE, "secretKeyRef": REFERENCE}}},
            "promptFrom has one source",
        ),
        ({"spec__persona": {"prompt": "x", "stop": False}}, "spec.persona.stop: unknown field"),
    ],
)
def test_a_mistake_is_refused_with_the_field_and_what_to_write(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ManifestError) as refused:
        parse_bot(bot(**changes), "here")
    assert told in str(refused.value)


def test_an_error_never_shows_the_value_that_it_refuses() -> None:
    with pytest.raises(ManifestError) as refused:
        parse_bot(bot(spec__account__botTokenSecretRef="123:SECRET"), "here")
    assert "SECRET" not in str(refused.value)


def test_defaults_fill_what_is_not_said_and_nothing_else() -> None:
    spec = parse_bot(bot(spec__model__maxOutputTokens=7), "here").spec
    whole = effective(spec, {"model": {"maxOutputTokens": 9, "timeoutSeconds": 11}}, {"model": {"timeoutSeconds": 12}})
    assert (whole.model.max_output_tokens, whole.model.timeout_seconds) == (7, 11)
    assert whole.model.base_url == BUILT_IN["model"]["baseUrl"]
    assert whole.model.temperature is None


def test_a_fallback_takes_from_the_main_model_what_it_does_not_say_but_temperature_price_and_pace() -> None:
    key = {"name": "second", "key": "k"}
    said = {
        "temperature": 0.7,
        "maxOutputTokens": 7,
        "timeoutSeconds": 9,
        "pricePerMillionTokens": {"input": 1, "output": 2},
        "requestsPerMinute": 60,
        "fallbacks": [
            {"name": "same-endpoint"},
            {
                "name": "other",
                "baseUrl": "http://b.invalid/v1",
                "apiKeySecretRef": key,
                "maxOutputTokens": 8,
                "requestsPerMinute": 6,
            },
        ],
    }
    main = effective(parse_bot(bot(spec__model={**MINIMAL["spec"]["model"], **said}), "here").spec).model
    assert main.price == Price(1, 2)
    same, other = main.fallbacks
    assert same == replace(
        main, name="same-endpoint", temperature=None, price=None, requests_per_minute=None, fallbacks=()
    )
    assert (other.base_url, other.api_key_secret_ref.name) == ("http://b.invalid/v1", "second")
    assert (other.max_output_tokens, other.timeout_seconds) == (8, 9)
    assert (main.requests_per_minute, other.requests_per_minute) == (60, 6)
    assert [model.name for model in main.chain] == ["gpt-5-mini", "same-endpoint", "other"]


def test_a_call_of_any_model_has_its_time_before_the_runner_ends() -> None:
    spec = parse_bot(bot(spec__model__fallbacks=[{"name": "slow", "timeoutSeconds": 77}]), "here").spec
    assert effective(spec).model.longest_call_seconds == 77


def test_a_transcription_takes_endpoint_and_key_from_the_main_model_and_a_picture_is_shown_to_whom_it_is_said() -> None:
    main = effective(parse_bot(MINIMAL, "here").spec).model
    assert (main.sees, main.transcription, main.max_image_bytes) == (False, None, 2_000_000)
    said = bot(spec__model__transcription={"name": "whisper-1"}, spec__model__fallbacks=[{"name": "f", "vision": True}])
    model = effective(parse_bot(said, "here").spec).model
    assert ([one.vision for one in model.chain], model.sees) == ([False, True], True)
    voices = model.transcription
    assert voices is not None
    assert (voices.base_url, voices.api_key_secret_ref) == (model.base_url, model.api_key_secret_ref)
    assert (voices.timeout_seconds, voices.max_seconds, model.longest_call_seconds) == (60, 300, 60)


def test_a_minute_and_a_token_of_sound_cost_what_the_owner_says_and_never_less() -> None:
    said = {"name": "t", "pricePerMinute": 0.006, "pricePerMillionTokens": {"input": 1.25, "output": 5}}
    voices = effective(parse_bot(bot(spec__model__transcription=said), "here").spec).model.transcription
    assert voices is not None
    assert [voices.micros(*used) for used in ((60, 0, 0), (0.1, 0, 0), (0, 2, 1), (0, 0, 0))] == [6000, 10, 8, 0]


def test_a_budget_has_no_limit_where_none_is_said_and_keeps_its_numbers() -> None:
    assert effective(parse_bot(MINIMAL, "here").spec).limits.budget.limited is False
    price = {"input": 1, "output": 2}
    said = bot(
        spec__limits={"budget": {"moneyPerDay": 0.1, "exhaustedText": ""}}, spec__model__pricePerMillionTokens=price
    )
    budget = effective(parse_bot(said, "here").spec).limits.budget
    assert (budget.limited, budget.tokens, budget.micros, budget.exhausted_text) == (True, 0, 100_000, "")


def test_a_budget_in_money_needs_the_price_of_every_model() -> None:
    said = bot(
        spec__limits={"budget": {"moneyPerDay": 1}},
        spec__model__fallbacks=[{"name": "f", "pricePerMillionTokens": {"input": 1, "output": 2}}, {"name": "g"}],
        spec__model__transcription={"name": "t"},
    )
    with pytest.raises(IncompleteError) as missing:
        effective(parse_bot(said, "here").spec)
    assert missing.value.fields == [
        "spec.model.pricePerMillionTokens",
        "spec.model.fallbacks[1].pricePerMillionTokens",
        "spec.model.transcription.pricePerMinute",
    ]


def test_what_no_layer_says_is_named() -> None:
    spec = parse_bot(bot(spec__persona=None, spec__model__name=None), "here").spec
    with pytest.raises(IncompleteError) as missing:
        effective(spec)
    assert missing.value.fields == ["spec.persona.prompt", "spec.model.name"]


def test_a_bot_that_writes_first_needs_to_know_what_about_and_at_which_hours() -> None:
    with pytest.raises(IncompleteError) as missing:
        effective(parse_bot(bot(spec__proactive={"enabled": True}), "here").spec)
    assert missing.value.fields == ["spec.proactive.prompt", "spec.schedule"]
    assert not effective(parse_bot(bot(spec__proactive={"prompt": "The spa."}), "here").spec).proactive.enabled


SCHEDULE: dict[str, Any] = {
    "timeZone": "Asia/Bishkek",
    "workingHours": [{"days": ["Mon", "Fri"], "from": "09:00", "to": "18:00"}],
    "outsideHours": "Message",
    "message": "Later.",
}


def test_an_effective_spec_is_a_spec_whose_effective_spec_is_itself() -> None:
    price = {"input": 0.1, "output": 0.7}
    rich = bot(
        spec__model__fallbacks=[
            {"name": "f", "pricePerMillionTokens": price},
            {"name": "g", "pricePerMillionTokens": price, "vision": True},
        ],
        spec__model__transcription={"name": "t", "pricePerMinute": 0.006, "pricePerMillionTokens": price},
        spec__model__vision=True,
        spec__model__pricePerMillionTokens=price,
        spec__limits={"budget": {"moneyPerDay": 1.23, "tokensPerDay": 5}},
        spec__conversation={"unavailableText": "One moment."},
        spec__schedule=SCHEDULE,
        spec__proactive={"enabled": True, "prompt": "The spa.", "maxUnanswered": 2},
        spec__access__users={"deny": [7, 5]},
    )
    elsewhere = [bot(spec__persona={"promptFrom": {k: REFERENCE}}) for k in ("configMapKeyRef", "secretKeyRef")]
    for document in (MINIMAL, rich, *elsewhere):
        whole = effective(parse_bot(document, "here").spec)
        again = TelegramBotSpec.model_validate(whole.to_spec().to_wire())
        assert effective(again) == whole


def test_whatever_a_runner_acts_on_is_in_the_digest_and_where_it_runs_is_not() -> None:
    digest = spec_digest(effective(parse_bot(MINIMAL, "here").spec))
    others: dict[str, Any] = {
        "account__apiCredentialsSecretRef": {"name": "other"},
        "persona__prompt": "Another.",
        "model__name": "other",
        "conversation": {"typing": False},
        "access": {"groups": "Off"},
        "schedule": SCHEDULE,
        "proactive": {"prompt": "The spa."},
        "limits": {"concurrentReplies": 9},
        "admins": [7],
        "suspend": True,
        "network": {"egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]},
        "workload": {"image": "registry.example/other:1"},
    }
    assert {path.partition("__")[0] for path in others} == set(TelegramBotSpec.model_json_schema()["properties"]) - {
        "deletionPolicy"
    }, "a new part of a spec is the runner's or not: say it here"
    same = {
        path
        for path, value in others.items()
        if spec_digest(effective(parse_bot(bot(**{f"spec__{path}": value}), "here").spec)) == digest
    }
    assert same == {"suspend", "network", "workload"}


def tells_defaults(path: str, value: Any, schema: dict[str, Any]) -> None:
    """Each default stands in the description of its field."""
    if isinstance(value, dict):
        for name, inner in value.items():
            tells_defaults(f"{path}.{name}", inner, schema["properties"][name])
        return
    text = f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
    assert text in schema["description"], f"{path} does not tell its default {text}: {schema['description']}"


def test_a_default_of_a_part_within_a_part_is_filled_by_field() -> None:
    spec = parse_bot(bot(spec__conversation={"memory": {}}), "here").spec
    assert effective(spec, {"conversation": {"memory": {"summarizeEveryMessages": 5}}}).conversation == replace(
        effective(spec).conversation, summarize_every_messages=5
    )
    assert effective(spec).conversation.summarize_every_messages == 12


def test_a_time_of_the_day_needs_no_quotes_in_a_file() -> None:
    hours = yaml.safe_load("[{days: [Mon], from: 09:00, to: 18:30}]")
    assert hours[0]["to"] == 1110, "what a reader of YAML 1.1 makes of it"
    parsed = parse_bot(bot(spec__schedule={"timeZone": "UTC", "workingHours": hours}), "here").spec.schedule
    assert parsed is not None
    assert [(one.opens, one.closes) for one in parsed.working_hours] == [("09:00", "18:30")]


def test_the_built_in_defaults_are_the_ones_that_the_fields_describe() -> None:
    described = yaml.safe_dump(structural_schema(), width=10_000)
    spec = structural_schema()["properties"]["spec"]
    for part in ("persona", "model", "conversation", "access", "limits", "proactive"):
        tells_defaults(part, BUILT_IN[part], spec["properties"][part])
    assert "Retain (default)" in described
    assert "Queue (default)" in described
    assert MESSAGE in described


def test_the_crd_in_the_repository_is_the_generated_one() -> None:
    assert (ROOT / "crds/telegrambots.yaml").read_text() == render(), "run: make generate"


def test_the_crd_is_small_enough_for_plain_kubectl_apply_and_has_no_defaults() -> None:
    text = render()
    assert len(text) < 100_000
    assert "default:" not in text


def test_every_field_of_the_crd_is_read_by_the_effective_spec() -> None:
    fields = set(crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])
    assert fields == set(TelegramBot.model_validate(MINIMAL).spec.__class__.model_json_schema()["properties"])
    assert fields == set(effective(parse_bot(bot(spec__schedule=SCHEDULE), "here").spec).to_spec().to_wire())


def test_the_example_of_who_is_answered_is_a_valid_one() -> None:
    page = (ROOT / "docs/who-is-answered.md").read_text()
    shown = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    whole = effective(parse_bot({**MINIMAL, "spec": {**MINIMAL["spec"], **shown["spec"]}}, "the page").spec)
    assert whole.access.deny == {5550001}
    assert whole.conversation.media_text == BUILT_IN["conversation"]["mediaText"]
    assert whole.schedule is not None
    assert len(whole.schedule.working_hours) == 2


def test_a_quantity_is_read_as_kubernetes_reads_it() -> None:
    read: dict[str | int, str | int] = {
        "20m": "0.02",
        "1Gi": 2**30,
        "0.5Gi": 2**29,
        "1e3": 1000,
        "2k": 2000,
        "1.5": "1.5",
        7: 7,
        "3E": 3 * 10**18,
    }
    assert {said: quantity(said) for said in read} == {said: Decimal(value) for said, value in read.items()}
    assert quantity("lots") == 0


def test_a_request_beyond_its_limit_is_refused_alone_too() -> None:
    resources = {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}
    with pytest.raises(ManifestError, match="a request is larger than its limit"):
        parse_bot(bot(spec__workload={"resources": resources}), "here")


def test_a_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(ManifestError, match="without user and password") as refused:
        parse_bot(bot(spec__model__baseUrl="https://user:SECRET@models.example/v1"), "here")
    assert "SECRET" not in str(refused.value)

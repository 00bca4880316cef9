"""A field is in the CRD when it does what it says: all of them are written out here, and another value of each makes another bot."""

import json
import re
import zlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2 as httpx
import openai  # noqa: F401 -- the provider imports it late; not on a test's time
import pytest

from botfleet.crd import PRINTER_COLUMNS, crd
from botfleet.effective import EffectiveSpec, effective
from botfleet.model import Model, Transcription
from botfleet.spec import TelegramBotSpec
from botfleet_operator.builders import Blueprint, deployment, networkpolicy
from botrunner.model.messages import ChatMessage, Picture
from botrunner.model.provider import ModelProvider
from botrunner.model.transcription import Transcriber
from botrunner.prepare import Prepared, read_credentials
from tests.unit.operator.samples import PLATFORM

ROOT = Path(__file__).parents[3]

# The whole tree, `[]` for the entries of a list. Who adds a field writes it here, and below what it changes.
ROOT_FIELDS = {"apiVersion", "kind", "metadata"}
SPEC = {
    "account.type",
    "account.apiCredentialsSecretRef.name",
    "account.botTokenSecretRef.name",
    "account.botTokenSecretRef.key",
    "account.sessionSecretRef.name",
    "account.sessionSecretRef.key",
    "account.dataCenter.id",
    "account.dataCenter.address",
    "account.dataCenter.port",
    "account.dataCenter.publicKeySecretRef.name",
    "account.dataCenter.publicKeySecretRef.key",
    "persona.prompt",
    "persona.promptFrom.configMapKeyRef.name",
    "persona.promptFrom.configMapKeyRef.key",
    "persona.promptFrom.secretKeyRef.name",
    "persona.promptFrom.secretKeyRef.key",
    "persona.disclosure",
    "model.name",
    "model.baseUrl",
    "model.apiKeySecretRef.name",
    "model.apiKeySecretRef.key",
    "model.temperature",
    "model.maxOutputTokens",
    "model.timeoutSeconds",
    "model.pricePerMillionTokens.input",
    "model.pricePerMillionTokens.output",
    "model.fallbacks[].name",
    "model.fallbacks[].baseUrl",
    "model.fallbacks[].apiKeySecretRef.name",
    "model.fallbacks[].apiKeySecretRef.key",
    "model.fallbacks[].temperature",
    "model.fallbacks[].maxOutputTokens",
    "model.fallbacks[].timeoutSeconds",
    "model.fallbacks[].pricePerMillionTokens.input",
    "model.fallbacks[].pricePerMillionTokens.output",
    "model.requestsPerMinute",
    "model.fallbacks[].requestsPerMinute",
    "model.fallbacks[].vision",
    "model.vision",
    "model.maxImageBytes",
    "model.transcription.name",
    "model.transcription.baseUrl",
    "model.transcription.apiKeySecretRef.name",
    "model.transcription.apiKeySecretRef.key",
    "model.transcription.timeoutSeconds",
    "model.transcription.maxSeconds",
    "model.transcription.pricePerMinute",
    "model.transcription.pricePerMillionTokens.input",
    "model.transcription.pricePerMillionTokens.output",
    "conversation.debounceSeconds",
    "conversation.historyMessages",
    "conversation.historyTokens",
    "conversation.memory.facts",
    "conversation.memory.summarizeEveryMessages",
    "conversation.typing",
    "conversation.unavailableText",
    "limits.budget.tokensPerDay",
    "limits.budget.moneyPerDay",
    "limits.budget.exhaustedText",
    "conversation.mediaText",
    "access.users.allow",
    "access.users.deny",
    "access.groups",
    "access.privateChats",
    "schedule.timeZone",
    "schedule.workingHours[].days",
    "schedule.workingHours[].from",
    "schedule.workingHours[].to",
    "schedule.outsideHours",
    "schedule.message",
    "proactive.enabled",
    "proactive.prompt",
    "proactive.afterSilenceHours",
    "proactive.windowDays",
    "proactive.messagesPerDay",
    "proactive.maxUnanswered",
    "limits.messagesPerMinutePerChat",
    "limits.concurrentReplies",
    "conversation.takeoverMinutes",
    "admins",
    "network.egress[].to[].ipBlock.cidr",
    "network.egress[].to[].ipBlock.except",
    "network.egress[].to[].podSelector.matchLabels",
    "network.egress[].to[].podSelector.matchExpressions[].key",
    "network.egress[].to[].podSelector.matchExpressions[].operator",
    "network.egress[].to[].podSelector.matchExpressions[].values",
    "network.egress[].to[].namespaceSelector.matchLabels",
    "network.egress[].to[].namespaceSelector.matchExpressions[].key",
    "network.egress[].to[].namespaceSelector.matchExpressions[].operator",
    "network.egress[].to[].namespaceSelector.matchExpressions[].values",
    "network.egress[].ports[].port",
    "network.egress[].ports[].endPort",
    "network.egress[].ports[].protocol",
    "suspend",
    "deletionPolicy",
    "workload.image",
    "workload.resources.requests",
    "workload.resources.limits",
    "workload.nodeSelector",
    "workload.tolerations[].key",
    "workload.tolerations[].operator",
    "workload.tolerations[].value",
    "workload.tolerations[].effect",
    "workload.tolerations[].tolerationSeconds",
    "workload.affinity",
    "workload.priorityClassName",
    "workload.runtimeClassName",
}
STATUS = {
    "observedGeneration",
    "phase",
    "conditions[].type",
    "conditions[].status",
    "conditions[].reason",
    "conditions[].message",
    "conditions[].lastTransitionTime",
    "conditions[].observedGeneration",
    "account.id",
    "account.username",
    "defaults.name",
    "defaults.generation",
    "budget.day",
    "budget.tokens",
    "budget.tokensPerDay",
    "budget.money",
    "budget.moneyPerDay",
    "pendingMessages",
    "lastMessageTime",
    "lastReplyTime",
}

BOT: dict[str, Any] = {
    "account": {
        "type": "Bot",
        "apiCredentialsSecretRef": {"name": "app"},
        "botTokenSecretRef": {"name": "concierge", "key": "token"},
        "dataCenter": {
            "id": 2,
            "address": "telegram.example",
            "port": 8443,
            "publicKeySecretRef": {"name": "server", "key": "pem"},
        },
    },
    "persona": {"prompt": "You are the concierge."},
    "model": {
        "name": "m",
        "baseUrl": "http://one.invalid/v1",
        "apiKeySecretRef": {"name": "openai", "key": "api-key"},
        "pricePerMillionTokens": {"input": 1, "output": 1},
        "transcription": {
            "name": "t",
            "baseUrl": "http://three.invalid/v1",
            "apiKeySecretRef": {"name": "third", "key": "api-key"},
            "pricePerMillionTokens": {"input": 1, "output": 1},
        },
        "fallbacks": [
            {
                "name": "f",
                "baseUrl": "http://two.invalid/v1",
                "apiKeySecretRef": {"name": "second", "key": "api-key"},
                "pricePerMillionTokens": {"input": 1, "output": 1},
            }
        ],
    },
    "network": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 8000}]}]},
    "workload": {"tolerations": [{"key": "a", "effect": "NoExecute"}]},
}
LABELLED = {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
SELECTED = {"network": {"egress": [{"to": [{"podSelector": LABELLED, "namespaceSelector": LABELLED}]}]}}
USER_ACCOUNT = {
    "account": {
        "type": "User",
        "apiCredentialsSecretRef": {"name": "app"},
        "sessionSecretRef": {"name": "person", "key": "session"},
    }
}
# What makes another pod, another login, other requests to the models or another cost of theirs.
CHANGES: dict[str, Any] = {
    "account.apiCredentialsSecretRef.name": "other",
    "account.botTokenSecretRef.name": "other",
    "account.botTokenSecretRef.key": "other",
    "account.sessionSecretRef.name": "other",
    "account.sessionSecretRef.key": "other",
    "account.dataCenter.id": 3,
    "account.dataCenter.address": "other.example",
    "account.dataCenter.port": 443,
    "account.dataCenter.publicKeySecretRef.name": "other",
    "account.dataCenter.publicKeySecretRef.key": "other",
    "model.name": "other",
    "model.baseUrl": "http://other.invalid/v1",
    "model.apiKeySecretRef.name": "other",
    "model.apiKeySecretRef.key": "other",
    "model.temperature": 0.5,
    "model.maxOutputTokens": 7,
    "model.timeoutSeconds": 77,
    "model.pricePerMillionTokens.input": 2,
    "model.pricePerMillionTokens.output": 2,
    "model.fallbacks[].name": "other",
    "model.fallbacks[].baseUrl": "http://other.invalid/v1",
    "model.fallbacks[].apiKeySecretRef.name": "other",
    "model.fallbacks[].apiKeySecretRef.key": "other",
    "model.fallbacks[].temperature": 0.5,
    "model.fallbacks[].maxOutputTokens": 7,
    "model.fallbacks[].timeoutSeconds": 77,
    "model.fallbacks[].pricePerMillionTokens.input": 2,
    "model.fallbacks[].pricePerMillionTokens.output": 2,
    "model.vision": True,
    "model.fallbacks[].vision": True,
    "model.transcription.name": "other",
    "model.transcription.baseUrl": "http://other.invalid/v1",
    "model.transcription.apiKeySecretRef.name": "other",
    "model.transcription.apiKeySecretRef.key": "other",
    "model.transcription.timeoutSeconds": 77,
    "model.transcription.pricePerMinute": 0.006,
    "model.transcription.pricePerMillionTokens.input": 2,
    "model.transcription.pricePerMillionTokens.output": 2,
    "network.egress[].to[].ipBlock.cidr": "10.0.0.0/12",
    "network.egress[].to[].ipBlock.except": ["10.9.0.0/16"],
    "network.egress[].to[].podSelector.matchLabels": {"app": "other"},
    "network.egress[].to[].podSelector.matchExpressions[].key": "other",
    "network.egress[].to[].podSelector.matchExpressions[].operator": "NotIn",
    "network.egress[].to[].podSelector.matchExpressions[].values": ["other"],
    "network.egress[].to[].namespaceSelector.matchLabels": {"app": "other"},
    "network.egress[].to[].namespaceSelector.matchExpressions[].key": "other",
    "network.egress[].to[].namespaceSelector.matchExpressions[].operator": "NotIn",
    "network.egress[].to[].namespaceSelector.matchExpressions[].values": ["other"],
    "network.egress[].ports[].port": 7,
    "network.egress[].ports[].endPort": 9000,
    "network.egress[].ports[].protocol": "UDP",
    "suspend": True,
    "workload.image": "registry.example/other:1",
    "workload.resources.requests": {"cpu": "1"},
    "workload.resources.limits": {"memory": "1Gi"},
    "workload.nodeSelector": {"zone": "a"},
    "workload.tolerations[].key": "other",
    "workload.tolerations[].operator": "Exists",
    "workload.tolerations[].value": "other",
    "workload.tolerations[].effect": "NoSchedule",
    "workload.tolerations[].tolerationSeconds": 5,
    "workload.affinity": {"podAffinity": {}},
    "workload.priorityClassName": "other",
    "workload.runtimeClassName": "other",
}
# What is seen in a conversation, or in the end, and the test which shows it.
SHOWN_BY = {
    "account.type": "test_a_mistake_is_refused_with_the_field_and_what_to_write",  # decides which credential must be given
    "model.requestsPerMinute": "test_a_call_beyond_the_owners_bound_waits_for_its_turn_and_none_begins_when_the_runner_stops",
    "model.fallbacks[].requestsPerMinute": (
        "test_a_fallback_takes_from_the_main_model_what_it_does_not_say_but_temperature_price_and_pace"
    ),
    "persona.prompt": "test_the_prompt_is_persona_history_turn",
    "persona.promptFrom.configMapKeyRef.name": "test_a_prompt_in_a_configmap_is_what_the_runner_gets",
    "persona.promptFrom.configMapKeyRef.key": "test_a_prompt_in_a_configmap_is_what_the_runner_gets",
    "persona.promptFrom.secretKeyRef.name": "test_a_prompt_in_a_secret_is_mounted_and_copied_nowhere",
    "persona.promptFrom.secretKeyRef.key": "test_a_prompt_in_a_secret_is_mounted_and_copied_nowhere",
    "persona.disclosure": "test_who_writes_is_said_in_every_conversation_once_if_the_owner_wants_that",
    "conversation.debounceSeconds": "test_messages_that_come_quickly_get_one_answer",
    "conversation.historyMessages": "test_the_model_is_shown_as_many_earlier_messages_as_the_owner_said",
    "conversation.historyTokens": "test_the_model_is_shown_the_newest_messages_that_fit_the_owners_tokens",
    "conversation.memory.facts": "test_facts_of_a_person_are_learned_corrected_and_forgotten_if_the_owner_wants_that",
    "conversation.memory.summarizeEveryMessages": "test_what_has_left_the_prompt_is_summed_up_and_the_model_is_shown_it",
    "conversation.typing": "test_an_owner_who_does_not_want_typing_gets_none",
    "conversation.unavailableText": "test_in_an_outage_the_person_is_told_once_if_the_owner_wants_that_and_answered_when_it_is_over",
    "limits.budget.tokensPerDay": "test_when_the_days_budget_is_spent_each_chat_is_told_once_and_nobody_is_asked",
    "limits.budget.moneyPerDay": "test_money_is_a_budget_too_and_needs_every_price",
    "limits.budget.exhaustedText": "test_an_owner_who_wants_no_word_about_the_budget_gets_none",
    "model.maxImageBytes": "test_what_is_too_large_or_too_long_is_left_alone",
    "model.transcription.maxSeconds": "test_what_is_too_large_or_too_long_is_left_alone",
    "conversation.mediaText": "test_what_comes_without_words_is_asked_for_in_words_once",
    "access.users.allow": "test_only_those_who_are_allowed_are_answered",
    "access.users.deny": "test_who_is_denied_is_never_answered",
    "access.groups": "test_in_a_group_is_answered_what_the_owner_said",
    "access.privateChats": "test_private_chats_can_be_switched_off",
    "schedule.timeZone": "test_hours_are_those_of_the_owners_clock",
    "schedule.workingHours[].days": "test_hours_are_those_of_their_days",
    "schedule.workingHours[].from": "test_hours_are_those_of_the_owners_clock",
    "schedule.workingHours[].to": "test_hours_are_those_of_the_owners_clock",
    "schedule.outsideHours": "test_what_comes_outside_of_the_hours_waits_or_not_as_the_owner_said",
    "schedule.message": "test_the_line_outside_of_the_hours_is_said_once_a_chat_and_closed_time",
    "proactive.enabled": "test_a_bot_that_may_not_write_first_does_not_even_look",
    "proactive.prompt": "test_who_was_silent_is_written_to_once_with_what_was_said_before",
    "proactive.afterSilenceHours": "test_who_wrote_and_was_silent_long_enough_is_written_to",
    "proactive.windowDays": "test_who_has_been_silent_for_too_long_is_left_alone",
    "proactive.messagesPerDay": "test_the_bot_writes_no_more_than_its_cap_a_day_over_restarts",
    "proactive.maxUnanswered": "test_pauses_grow_while_nobody_answers",
    "limits.messagesPerMinutePerChat": "test_what_is_asked_beyond_the_limit_of_a_minute_is_answered_later_together",
    "limits.concurrentReplies": "test_chats_go_on_side_by_side_up_to_the_bound_that_the_owner_said",
    "conversation.takeoverMinutes": "test_the_owner_typing_takes_a_chat_over_for_as_long_as_the_spec_says",
    "admins": "test_only_an_admin_can_steer_the_bot",
    "deletionPolicy": "test_a_bot_with_erase_leaves_nothing_in_the_database_or_redis_but_tombstones",
}


def leaves(node: dict[str, Any], path: str = "") -> set[str]:
    """Dotted paths of everything that can be said."""
    if "properties" in node:
        parts = [leaves(child, f"{path}.{name}" if path else name) for name, child in node["properties"].items()]
        return set().union(*parts)
    return leaves(node["items"], f"{path}[]") if "properties" in node.get("items", {}) else {path}


def schema() -> dict[str, Any]:
    return dict(crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def test_the_fields_of_the_crd_are_the_written_ones_and_no_other() -> None:
    fields = leaves(schema())
    assert {path.removeprefix("spec.") for path in fields if path.startswith("spec.")} == SPEC
    assert {path.removeprefix("status.") for path in fields if path.startswith("status.")} == STATUS
    assert {path for path in fields if not path.startswith(("spec.", "status."))} == ROOT_FIELDS


def test_each_field_of_the_spec_is_shown_to_have_an_effect() -> None:
    assert set(CHANGES) | set(SHOWN_BY) == SPEC
    assert not set(CHANGES) & set(SHOWN_BY)
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name in SHOWN_BY.values():
        assert re.search(rf"def {name}\(", tests), name


@dataclass(frozen=True)
class OfNames:
    """Secrets whose values are told by their names."""

    def read(self, name: str, key: str) -> str:
        number = zlib.crc32(name.encode())
        value = {"api-id": f"{number}"[:9], "token": f"{number}:{name}", "other": f"5:{key}"}
        return value.get(key, f"{name}/{key}")


async def outcome(spec: dict[str, Any]) -> dict[str, Any]:
    """What the operator makes and what the runner does with it; not the ConfigMap, which hands on whatever is said."""
    whole = effective(TelegramBotSpec.model_validate(spec))
    credentials = read_credentials(cast("Prepared", _Prepared(whole, OfNames())))
    account = credentials.account
    login = (account.api.api_id, account.api.api_hash, vars(account.credential), account.server)
    keys = (credentials.model_key, *credentials.fallback_keys)
    asked: list[Any] = [await request(model, key) for model, key in zip(whole.model.chain, keys, strict=True)]
    costs: list[Any] = [
        model.price and (model.price.micros(10, 0), model.price.micros(0, 10)) for model in whole.model.chain
    ]
    voices = whole.model.transcription
    if voices is not None and credentials.transcription_key is not None:
        asked.append(await heard(voices, credentials.transcription_key))
        costs.append((voices.micros(60, 0, 0), voices.micros(0, 10, 0), voices.micros(0, 0, 10)))
    return {"children": children(whole), "login": login, "requests": asked, "costs": costs}


@dataclass(frozen=True)
class _Prepared:
    spec: EffectiveSpec
    secrets: OfNames


def children(spec: EffectiveSpec) -> list[Any]:
    own = {"database_password": "", "redis_password": "", "session_key": ""}
    names = {
        "bot_id": "b",
        "role": "r",
        "redis_user": "u",
        "spec_digest": "",
        "credentials_digest": "",
        "owner_digest": "",
    }
    blueprint = Blueprint("hotel", "concierge", "uid", spec, PLATFORM, **names, **own)
    return [builder.build(blueprint)["spec"] for builder in (deployment, networkpolicy)]


async def request(model: Model, key: str) -> tuple[str, str, Any]:
    seen: list[httpx.Request] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        seen.append(asked)
        return httpx.Response(500)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        shown: ChatMessage = {"role": "user", "content": "hi", "picture": Picture("image/png", b"x")}
        await ModelProvider(model, key, http_client=client).answer([shown])
    return str(seen[0].url), seen[0].headers["authorization"], json.loads(seen[0].content)


async def heard(model: Transcription, key: str) -> tuple[str, str, str]:
    seen: list[httpx.Request] = []

    async def answer(asked: httpx.Request) -> httpx.Response:
        await asked.aread()
        seen.append(asked)
        return httpx.Response(500)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await Transcriber(model, key, http_client=client).hear(b"x", "audio/ogg")
    boundary = seen[0].headers["content-type"].partition("boundary=")[2]
    return str(seen[0].url), seen[0].headers["authorization"], seen[0].content.decode().replace(boundary, "")


def changed(spec: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    spec = deepcopy(spec)
    *parents, last = path.split(".")
    at: Any = spec
    for parent in parents:
        at = at[parent.removesuffix("[]")][0] if parent.endswith("[]") else at.setdefault(parent, {})
    at[last] = value
    return spec


@pytest.mark.parametrize("path", sorted(CHANGES))
async def test_another_value_makes_another_bot(path: str) -> None:
    base = {**BOT, **USER_ACCOUNT} if path.startswith("account.sessionSecretRef") else BOT
    base = {**base, **SELECTED} if "Selector" in path else base
    assert await outcome(changed(base, path, CHANGES[path])) != await outcome(base)


async def test_the_same_values_make_the_same_bot() -> None:
    assert await outcome(BOT) == await outcome(deepcopy(BOT))


def test_the_columns_show_fields_that_there_are() -> None:
    there = {f".{path}" for path in leaves(schema())} | {".metadata.creationTimestamp"}
    for column in PRINTER_COLUMNS:
        path = re.sub(r"\[\?\([^)]*\)\]", "[]", str(column["jsonPath"]))
        assert path in there, column["name"]

"""Why: the one model of a TelegramBot, for the CRD, a standalone file and later REST. Only fields with an effect are in it."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from botfleet.spec.access import AccessSpec
from botfleet.spec.account import AccountSpec
from botfleet.spec.behaviour import ConversationSpec, PersonaSpec
from botfleet.spec.limits import LimitsSpec
from botfleet.spec.model import ModelSpec
from botfleet.spec.network import NetworkSpec
from botfleet.spec.proactive import ProactiveSpec
from botfleet.spec.rules import Rule, Wire
from botfleet.spec.schedule import ScheduleSpec
from botfleet.spec.workload import WorkloadSpec

GROUP = "botfleet.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TelegramBot"
PLURAL = "telegrambots"
NAME_MAX = 50  # so that the names of children fit
MAX_ID = 2**52 - 1  # of people: Telegram's ids stay below (https://core.telegram.org/api/bots/ids)

Admins = Annotated[
    list[Annotated[int, Field(ge=1, le=MAX_ID, json_schema_extra={"format": "int64"})]] | None,
    Field(
        max_length=50,
        description="Telegram ids of people who may steer the bot in their private chat with it: /status, /pause, /resume,"
        " /block, /unblock, /take, /release. Default: nobody.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    ),
]


class DeletionPolicy(StrEnum):
    """What happens to a bot's data when its object is deleted."""

    RETAIN = "Retain"
    ERASE = "Erase"


class TelegramBotSpec(Wire):
    """What the owner wants."""

    account: AccountSpec
    persona: PersonaSpec | None = None
    model: ModelSpec | None = None
    conversation: ConversationSpec | None = None
    access: AccessSpec | None = None
    schedule: ScheduleSpec | None = None
    proactive: ProactiveSpec | None = None
    limits: LimitsSpec | None = None
    admins: Admins = None
    suspend: Annotated[bool | None, Field(description="True stops the bot and keeps everything. Default false.")] = None
    deletion_policy: Annotated[
        DeletionPolicy | None,
        Field(
            description="Retain (default): the data stays when the object is deleted. Erase: the object goes when all data of the"
            " bot is erased; in force once status.observedGeneration shows it."
        ),
    ] = None
    network: NetworkSpec | None = None
    workload: WorkloadSpec | None = None


class ConditionStatus(Wire):
    """One entry of `status.conditions`, as Kubernetes defines it (KEP-1623)."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True, frozen=True)
    type: Annotated[str, Field(max_length=316)]
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    reason: Annotated[str, Field(max_length=1024)]
    message: Annotated[str, Field(max_length=32768)]
    last_transition_time: datetime
    observed_generation: Annotated[int | None, Field(ge=0)] = None


class AccountStatus(Wire):
    """The account as Telegram named it."""

    id: Annotated[int, Field(json_schema_extra={"format": "int64"})]
    username: str | None = None


class DefaultsStatus(Wire):
    """The TelegramBotDefaults that took part in the effective spec."""

    name: str
    generation: Annotated[int, Field(json_schema_extra={"format": "int64"})]


class BudgetStatus(Wire):
    """What the models cost on a day, and the limits; money in the owner's currency."""

    day: Annotated[date, Field(description="The UTC day that the figures are of.")]
    tokens: Annotated[int, Field(json_schema_extra={"format": "int64"})]
    tokens_per_day: Annotated[int | None, Field(json_schema_extra={"format": "int64"})] = None
    money: float
    money_per_day: float | None = None


class TelegramBotStatus(Wire):
    """What is. Written by the operator alone."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True, frozen=True)
    observed_generation: int | None = None
    phase: str | None = None
    conditions: Annotated[
        list[ConditionStatus] | None,
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = None
    account: AccountStatus | None = None
    defaults: Annotated[
        DefaultsStatus | None, Field(description="The namespace's defaults that took part; unsaid: there are none.")
    ] = None
    budget: Annotated[
        BudgetStatus | None,
        Field(description="What was spent today, where the spec has a budget; written at most once a minute."),
    ] = None
    pending_messages: Annotated[
        int | None, Field(description="Messages that wait for an answer; written at most once a minute.")
    ] = None
    last_message_time: Annotated[
        datetime | None, Field(description="When the bot last took a message in; written at most once a minute.")
    ] = None
    last_reply_time: datetime | None = None


class Metadata(Wire):
    """The part of an object's metadata that is ours to read; the rest belongs to Kubernetes."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True, frozen=True)
    name: str
    namespace: str = "default"
    uid: str | None = None
    generation: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


def _name_fits(bot: "TelegramBot") -> bool:
    import re

    name = bot.metadata.name
    return len(name) <= NAME_MAX and re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) is not None


class TelegramBot(Wire):
    """One bot."""

    rules = (
        Rule(
            f"self.metadata.name.size() <= {NAME_MAX} && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            f"metadata.name must be a DNS label of at most {NAME_MAX} characters: a-z, 0-9 and '-', no dot",
            _name_fits,
        ),
    )
    api_version: Literal["botfleet.dev/v1alpha1"]
    kind: Literal["TelegramBot"]
    metadata: Metadata
    spec: TelegramBotSpec
    status: TelegramBotStatus | None = None

"""Why: what bots of a namespace have in common is said once. The same model checks the chart's `bots.defaults` and a runner's.

Never: what belongs to one bot alone: its account's credentials, whether it is suspended, what becomes of its data.
"""

from typing import Annotated, Literal

from pydantic import Field

from botfleet.spec.access import AccessSpec
from botfleet.spec.account import DataCenter
from botfleet.spec.behaviour import ConversationSpec, PersonaSpec
from botfleet.spec.bot import Admins, Metadata
from botfleet.spec.limits import LimitsSpec
from botfleet.spec.model import ModelSpec
from botfleet.spec.network import NetworkSpec
from botfleet.spec.proactive import ProactiveSpec
from botfleet.spec.rules import Rule, Wire
from botfleet.spec.schedule import ScheduleSpec
from botfleet.spec.workload import WorkloadSpec

DEFAULTS_KIND = "TelegramBotDefaults"
DEFAULTS_PLURAL = "telegrambotdefaults"
DEFAULTS_NAME = "default"


class AccountDefaults(Wire):
    """Of an account only the server that it is on: its credentials are its own."""

    data_center: Annotated[DataCenter | None, Field(description="Only for test servers and the simulator.")] = None


class BotDefaults(Wire):
    """What a TelegramBot's spec says when its owner does not. Parts are merged by field, lists are taken whole."""

    account: AccountDefaults | None = None
    persona: PersonaSpec | None = None
    model: ModelSpec | None = None
    conversation: ConversationSpec | None = None
    access: AccessSpec | None = None
    schedule: ScheduleSpec | None = None
    proactive: ProactiveSpec | None = None
    limits: LimitsSpec | None = None
    admins: Admins = None
    network: NetworkSpec | None = None
    workload: WorkloadSpec | None = None


class TelegramBotDefaults(Wire):
    """What the TelegramBots of this namespace say when their own spec does not."""

    rules = (
        Rule(
            f"self.metadata.name == '{DEFAULTS_NAME}'",
            f"one object with defaults takes part in a namespace: write metadata.name: {DEFAULTS_NAME}",
            lambda defaults: defaults.metadata.name == DEFAULTS_NAME,
        ),
    )
    api_version: Literal["botfleet.dev/v1alpha1"]
    kind: Literal["TelegramBotDefaults"]
    metadata: Metadata
    spec: BotDefaults

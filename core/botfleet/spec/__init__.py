"""The TelegramBot model: one pydantic model for the CRD, standalone files and REST."""

from botfleet.spec.account import AccountSpec, AccountType, DataCenter, SecretKeyRef, SecretRef
from botfleet.spec.behaviour import ConversationSpec, Disclosure, PersonaSpec
from botfleet.spec.bot import (
    API_VERSION,
    GROUP,
    KIND,
    PLURAL,
    VERSION,
    DeletionPolicy,
    Metadata,
    TelegramBot,
    TelegramBotSpec,
    TelegramBotStatus,
)
from botfleet.spec.defaults import DEFAULTS_KIND, DEFAULTS_NAME, DEFAULTS_PLURAL, BotDefaults, TelegramBotDefaults
from botfleet.spec.limits import BudgetSpec, LimitsSpec
from botfleet.spec.model import FallbackSpec, ModelSpec, PriceSpec
from botfleet.spec.network import EgressRule, IPBlock, LabelSelector, NetworkSpec, Peer, PolicyPort
from botfleet.spec.workload import Resources, Toleration, WorkloadSpec

__all__ = [
    "API_VERSION",
    "DEFAULTS_KIND",
    "DEFAULTS_NAME",
    "DEFAULTS_PLURAL",
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "AccountSpec",
    "AccountType",
    "BotDefaults",
    "BudgetSpec",
    "ConversationSpec",
    "DataCenter",
    "DeletionPolicy",
    "Disclosure",
    "EgressRule",
    "FallbackSpec",
    "IPBlock",
    "LabelSelector",
    "LimitsSpec",
    "Metadata",
    "ModelSpec",
    "NetworkSpec",
    "Peer",
    "PersonaSpec",
    "PolicyPort",
    "PriceSpec",
    "Resources",
    "SecretKeyRef",
    "SecretRef",
    "TelegramBot",
    "TelegramBotDefaults",
    "TelegramBotSpec",
    "TelegramBotStatus",
    "Toleration",
    "WorkloadSpec",
]

"""The TelegramBot model: one pydantic model for the CRD, standalone files and REST."""

from botfleet.spec.account import AccountSpec, AccountType, DataCenter, SecretKeyRef, SecretRef
from botfleet.spec.behaviour import ConversationSpec, Disclosure, ModelSpec, PersonaSpec
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
from botfleet.spec.workload import Resources, Toleration, WorkloadSpec

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "AccountSpec",
    "AccountType",
    "ConversationSpec",
    "DataCenter",
    "DeletionPolicy",
    "Disclosure",
    "Metadata",
    "ModelSpec",
    "PersonaSpec",
    "Resources",
    "SecretKeyRef",
    "SecretRef",
    "TelegramBot",
    "TelegramBotSpec",
    "TelegramBotStatus",
    "Toleration",
    "WorkloadSpec",
]

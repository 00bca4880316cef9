"""
Why: gathers everything that a decision about one bot may depend on into one value.
Never: ask the network: it reads what watches and the ledger already brought, and what this reconcile has looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from botfleet_operator.allowlist import ANYTHING, Allowlist
from botfleet_operator.builders import Platform
from botfleet_operator.ledger import Ledger
from botfleet_operator.model import BotKey, BotRecord, ChildRecord, SecretRecord
from botfleet_operator.plan import Absence, Failure, Observed, Step, Turn
from botfleet_operator.prompts import PromptRecord
from botfleet_operator.world import CHILD_RESOURCES, World, child_name


@dataclass(slots=True)
class Scratch:
    """What one reconcile has found out by asking, and what went wrong in it. Thrown away at its end."""

    secrets: dict[str, Absence] = field(default_factory=dict)
    prompts: dict[str, Absence] = field(default_factory=dict)
    children: dict[str, ChildRecord] = field(default_factory=dict)
    looked_up: bool = False
    in_use_by: BotKey | None = None
    wait_seconds: float | None = None  # a runner has to be gone first, or there is more to do than one turn may take
    finalizers: tuple[str, ...] | None = None  # of the object, after they were changed
    failures: dict[type[Step], Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all bots."""

    platform: Platform
    defaults: Mapping[str, Any]
    allowed: Allowlist = ANYTHING


def observe(bot: BotRecord, world: World, ledger: Ledger, setting: Setting, scratch: Scratch, turn: Turn) -> Observed:
    """The bot as it is now."""
    identity = ledger.identity_of(bot.key, bot.uid)
    if scratch.finalizers is not None:
        bot = replace(bot, finalizers=scratch.finalizers)
    return Observed(
        bot=bot,
        platform=setting.platform,
        defaults=setting.defaults,
        nearer=world.defaults_of(bot.namespace),
        secrets={name: _secret(bot, name, world, scratch) for name in world.names("Secret", bot)},
        prompts={name: _prompt(bot, name, world, scratch) for name in world.names("ConfigMap", bot)},
        identity=identity,
        own=ledger.own_secrets(identity) if identity else None,
        role_exists=identity is not None and ledger.role_exists(identity),
        role_ready=identity is not None and ledger.role_is_ready(identity),
        user_ready=identity is not None and ledger.user_is_ready(identity),
        bound=ledger.bound_to(identity.bot_id) if identity else (),
        in_use_by=scratch.in_use_by,
        looked_up=scratch.looked_up,
        children=_children(bot, world, scratch),
        heartbeat=ledger.heartbeat(identity.bot_id) if identity else None,
        pods=world.pods_of(bot.key),
        failures=scratch.failures,
        allowed=setting.allowed,
        turn=turn,
    )


def _secret(bot: BotRecord, name: str, world: World, scratch: Scratch) -> SecretRecord | Absence:
    return world.secrets.get(bot.namespace, name) or scratch.secrets.get(name, Absence.UNKNOWN)


def _prompt(bot: BotRecord, name: str, world: World, scratch: Scratch) -> PromptRecord | Absence:
    return world.prompts.get(bot.namespace, name) or scratch.prompts.get(name, Absence.UNKNOWN)


def _children(bot: BotRecord, world: World, scratch: Scratch) -> dict[str, ChildRecord]:
    found: dict[str, ChildRecord] = {}
    for kind in CHILD_RESOURCES:
        seen, asked = world.children[kind].get(bot.namespace, child_name(kind, bot.name)), scratch.children.get(kind)
        if asked is not None and (seen is None or seen.version < asked.version):
            found[kind] = asked
        elif seen is not None:
            found[kind] = seen
    return found

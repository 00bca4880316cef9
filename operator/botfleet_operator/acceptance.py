"""
Why: whether a spec makes sense and everything that it names exists, decided before anything is made.
Never: make half a bot: what is refused here creates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from botfleet.conditions import Reason
from botfleet.digest import content_digest, spec_digest
from botfleet.effective import EffectiveSpec, IncompleteError, effective, with_prompt
from botfleet.spec import TelegramBotSpec
from botfleet.spec.behaviour import ConfigMapKeyRef
from botfleet_operator.allowlist import ANYTHING, Allowlist, Excess
from botfleet_operator.defaults import DefaultsRecord
from botfleet_operator.model import BotRecord, KeyView, SecretRecord
from botfleet_operator.plan import Absence
from botfleet_operator.prompts import PromptRecord
from botfleet_operator.references import Need, Use, config_map_of, needs

_DETAIL_MOST = 512
# Otherwise who may write TelegramBots and nothing else could make any token or key a prompt, and have the bot tell it.
_NO_PROMPT = "a bot can be made to tell its prompt, so a Secret of prompts (no credentials) has the label botfleet.dev/prompt=true too"
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The spec with all defaults, and what follows from the Secrets without their values."""

    spec: EffectiveSpec
    account_key: str
    credential_digest: str
    credentials_digest: str  # of all values that the runner gets, under the installation's key
    spec_digest: str  # of what the runner acts on; many ask for it, and it takes a tenth of a decision to make
    prompt_from: tuple[str, str] | None = None  # name and key of the ConfigMap from which the prompt was read


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not, in words for the condition. `suspend` is what the spec says all the same: it works from any state."""

    reason: Reason
    values: Mapping[str, str | int] = field(default_factory=dict)
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class Undecided:
    """What the watches do not show: first tell missing from unlabelled. Both empty: the news is on its way."""

    secrets: tuple[str, ...]
    prompts: tuple[str, ...] = ()


def accept(
    bot: BotRecord,
    defaults: Mapping[str, Any],
    secrets: Mapping[str, SecretRecord | Absence],
    nearer: DefaultsRecord | None = None,
    prompts: Mapping[str, PromptRecord | Absence] = NOTHING,
    allowed: Allowlist = ANYTHING,
) -> Accepted | Refused | Undecided:
    """The verdict on one bot's spec and on what it names. `defaults`: the cluster's; `nearer`: its namespace's."""
    suspend = bot.spec.get("suspend") is True
    if nearer is not None and nearer.mistake is not None:
        return Refused(Reason.DEFAULTS_INVALID, {"name": nearer.name, "detail": _short(nearer.mistake)}, suspend)
    try:
        own = TelegramBotSpec.model_validate(bot.spec)
        spec = effective(own, dict(nearer.layer) if nearer else {}, dict(defaults))
    except IncompleteError as error:
        return Refused(Reason.INCOMPLETE, {"fields": ", ".join(error.fields)}, suspend)
    except ValidationError as error:
        return Refused(Reason.INVALID, {"detail": _said(error)}, suspend)
    excess = next(allowed.excesses(spec), None)
    if excess is not None:
        return Refused(Reason.NOT_ALLOWED, _told(excess), suspend)
    wanted, reference = list(needs(spec)), config_map_of(spec)
    states = {need.secret: secrets.get(need.secret, Absence.UNKNOWN) for need in wanted}
    texts = {reference.name: prompts.get(reference.name, Absence.UNKNOWN)} if reference else {}
    unknown = Undecided(_unknown(states), _unknown(texts))
    if unknown.secrets or unknown.prompts or Absence.ARRIVING in (*states.values(), *texts.values()):
        return unknown
    views: dict[Use, KeyView] = {}
    digests: list[list[str]] = []
    for need in wanted:
        found = _view(bot, need, states[need.secret], suspend)
        if isinstance(found, Refused):
            return found
        views[need.use] = found
        digests.append([need.secret, need.key, found.digest])
    source = (reference.name, reference.key) if reference is not None else None
    if reference is not None:
        text = _prompt(bot, reference, texts[reference.name], suspend)
        if isinstance(text, Refused):
            return text
        spec = with_prompt(spec, text)
    credential = views.get(Use.TOKEN) or views[Use.SESSION]
    key = f"bot:{credential.account_id}" if Use.TOKEN in views else f"session:{credential.credential}"
    return Accepted(spec, key, credential.credential, content_digest(sorted(digests))[:32], spec_digest(spec), source)


def _unknown(states: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(sorted(name for name, state in states.items() if state is Absence.UNKNOWN))


def _prompt(bot: BotRecord, reference: ConfigMapKeyRef, state: PromptRecord | Absence, suspend: bool) -> str | Refused:
    values: dict[str, str | int] = {"name": reference.name, "key": reference.key, "namespace": bot.namespace}
    if isinstance(state, Absence):
        missing = state is Absence.MISSING
        return Refused(Reason.CONFIG_MAP_MISSING if missing else Reason.CONFIG_MAP_NOT_LABELLED, values, suspend)
    if wrong := state.mistakes.get(reference.key):
        return Refused(Reason.CONFIG_MAP_UNUSABLE, {**values, "detail": wrong}, suspend)
    text = state.texts.get(reference.key)
    return Refused(Reason.CONFIG_MAP_KEY_MISSING, values, suspend) if text is None else text


def _said(error: ValidationError) -> str:
    """Places and messages; never the values, which pydantic would quote."""
    return _short("; ".join(f"spec.{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()))


def _told(excess: Excess) -> dict[str, str | int]:
    return {
        "field": excess.field,
        "value": _short(excess.value),
        "allowed": _short(", ".join(excess.allowed) or "none"),
        "chart_value": excess.chart_value,
    }


def _short(text: str) -> str:
    return text if len(text) <= _DETAIL_MOST else text[: _DETAIL_MOST - 1] + "…"


def _view(bot: BotRecord, need: Need, state: SecretRecord | Absence, suspend: bool) -> KeyView | Refused:
    values: dict[str, str | int] = {
        "name": need.secret,
        "key": need.key,
        "used_by": need.use.value,
        "namespace": bot.namespace,
    }
    if isinstance(state, Absence):
        missing = state is Absence.MISSING
        return Refused(Reason.SECRET_MISSING if missing else Reason.SECRET_NOT_LABELLED, values, suspend)
    if state.ours:
        return Refused(
            Reason.SECRET_UNUSABLE,
            {**values, "detail": "the operator made this Secret, and no bot may read another's credentials"},
            suspend,
        )
    if need.use is Use.PROMPT and not state.tellable:
        return Refused(Reason.SECRET_UNUSABLE, {**values, "detail": _NO_PROMPT}, suspend)
    view = state.keys.get(need.key)
    if view is None:
        return Refused(Reason.SECRET_KEY_MISSING, values, suspend)
    wrong = _unusable(need.use, view)
    return Refused(Reason.SECRET_UNUSABLE, {**values, "detail": wrong}, suspend) if wrong else view


def _unusable(use: Use, view: KeyView) -> str | None:
    if view.is_empty:
        return "it is empty"
    if use is Use.TOKEN and view.account_id is None:
        return "a bot token looks like 123456789:AA… as BotFather shows it"
    if use is Use.PROMPT:
        return view.prompt_mistake
    if use is Use.API_ID and not view.is_number:
        return "api-id is a number, as my.telegram.org shows it"
    return None

"""Why: defaults are filled in one pure place. The CRD holds none, so that "not said" is never lost."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from botfleet.defaults import BUILT_IN, merge
from botfleet.model import Budget, Model, budget_of, model_of, without_price
from botfleet.spec import TelegramBotSpec
from botfleet.spec.access import AccessSpec, Groups
from botfleet.spec.account import AccountSpec
from botfleet.spec.behaviour import Disclosure, PromptSource
from botfleet.spec.bot import DeletionPolicy
from botfleet.spec.limits import LimitsSpec
from botfleet.spec.network import EgressRule
from botfleet.spec.proactive import ProactiveSpec
from botfleet.spec.schedule import MESSAGE, OutsideHours, ScheduleSpec, WorkingHours
from botfleet.spec.workload import WorkloadSpec

T = TypeVar("T")


@dataclass(frozen=True)
class Persona:
    """Who the bot is; everything is said. `prompt`: empty until it has been read from `prompt_from`."""

    prompt: str
    disclosure: Disclosure
    prompt_from: PromptSource | None = None

    def to_wire(self) -> dict[str, Any]:
        """As a PersonaSpec. What is read from somewhere is told by where it lies: a Secret is copied nowhere."""
        prompt = None if self.prompt_from else self.prompt
        return {"prompt": prompt, "prompt_from": self.prompt_from, "disclosure": self.disclosure}


@dataclass(frozen=True)
class Conversation:
    """How the bot converses. Times in seconds, counts in messages; `summarize_every_messages` 0: never; an empty `media_text`: none."""

    debounce_seconds: float
    history_messages: int
    history_tokens: int
    summarize_every_messages: int
    learn_facts: bool
    typing: bool
    takeover_minutes: int
    unavailable_text: str | None
    media_text: str


@dataclass(frozen=True)
class Access:
    """Who is answered, and where. `allow` empty: everybody who is not denied."""

    allow: frozenset[int]
    deny: frozenset[int]
    groups: Groups
    private_chats: bool

    def to_spec(self) -> AccessSpec:
        """The same as a part of a spec."""
        users = {"allow": sorted(self.allow), "deny": sorted(self.deny)}
        return AccessSpec.model_validate({"users": users, "groups": self.groups, "private_chats": self.private_chats})


@dataclass(frozen=True)
class Schedule:
    """Working hours. `message` is said only when `outside_hours` wants that."""

    time_zone: str
    working_hours: tuple[WorkingHours, ...]
    outside_hours: OutsideHours
    message: str

    def to_spec(self) -> ScheduleSpec:
        """The same as a part of a spec."""
        return ScheduleSpec.model_validate({**vars(self), "working_hours": list(self.working_hours)})


@dataclass(frozen=True)
class Proactive:
    """Whether and when the bot writes first. `prompt`: said when `enabled`, as a schedule is."""

    enabled: bool
    prompt: str | None
    after_silence_hours: int
    window_days: int
    messages_per_day: int
    max_unanswered: int


@dataclass(frozen=True)
class Limits:
    """How much the bot does; what is beyond the first two waits."""

    messages_per_minute_per_chat: int
    concurrent_replies: int
    budget: Budget


@dataclass(frozen=True)
class EffectiveSpec:
    """A spec in which nothing is missing: what decides, and what the runner gets."""

    account: AccountSpec
    persona: Persona
    model: Model
    conversation: Conversation
    access: Access
    schedule: Schedule | None
    proactive: Proactive
    limits: Limits
    admins: tuple[int, ...]
    suspend: bool
    deletion_policy: DeletionPolicy
    egress: tuple[EgressRule, ...]
    workload: WorkloadSpec

    def to_spec(self) -> TelegramBotSpec:
        """The same as a spec in which everything is said; `effective` of it is this object again."""
        return TelegramBotSpec.model_validate(
            {
                "account": self.account,
                "persona": self.persona.to_wire(),
                "model": self.model.to_wire(),
                "conversation": {
                    "debounce_seconds": self.conversation.debounce_seconds,
                    "history_messages": self.conversation.history_messages,
                    "history_tokens": self.conversation.history_tokens,
                    "memory": {
                        "facts": self.conversation.learn_facts,
                        "summarize_every_messages": self.conversation.summarize_every_messages,
                    },
                    "typing": self.conversation.typing,
                    "takeover_minutes": self.conversation.takeover_minutes,
                    "unavailable_text": self.conversation.unavailable_text,
                    "media_text": self.conversation.media_text,
                },
                "access": self.access.to_spec(),
                "schedule": None if self.schedule is None else self.schedule.to_spec(),
                "proactive": vars(self.proactive),
                "limits": {
                    "messages_per_minute_per_chat": self.limits.messages_per_minute_per_chat,
                    "concurrent_replies": self.limits.concurrent_replies,
                    "budget": self.limits.budget.to_wire(),
                },
                "admins": list(self.admins),
                "suspend": self.suspend,
                "deletion_policy": self.deletion_policy,
                "network": {"egress": list(self.egress)},
                "workload": self.workload,
            }
        )


def with_prompt(spec: EffectiveSpec, text: str) -> EffectiveSpec:
    """The spec with the prompt as it was read. A ConfigMap's text takes the place of the reference; a Secret's stays beside
    it, so that `to_spec` tells the reference. `text`: one in which `prompt_mistake` finds none."""
    source = spec.persona.prompt_from
    kept = source if source is not None and source.secret_key_ref is not None else None
    return replace(spec, persona=replace(spec.persona, prompt=text, prompt_from=kept))


class IncompleteError(ValueError):
    """The spec and all defaults together leave a needed field open.

    Attributes:
        fields: paths of the missing fields, as the owner writes them (`spec.model.name`).
    """

    def __init__(self, fields: list[str]) -> None:
        super().__init__("not said, and no default says it: " + ", ".join(fields))
        self.fields = fields


# Part and field, and what can be said instead of the field.
REQUIRED = (("persona", "prompt", "promptFrom"), ("model", "name"), ("model", "apiKeySecretRef"))


def effective(spec: TelegramBotSpec, *defaults: dict[str, Any]) -> EffectiveSpec:
    """Fills what the owner did not say.

    Args:
        spec: what the owner said.
        defaults: layers in wire form (camelCase), nearest first: the namespace's, then the cluster's. The built-in
            layer comes last by itself.

    Raises:
        IncompleteError: a needed field is said nowhere.
    """
    merged = merge(spec.to_wire(), *defaults, BUILT_IN)
    missing = [f"spec.{part}.{fields[0]}" for part, *fields in REQUIRED if _is_unsaid(merged.get(part), fields)]
    if missing:
        raise IncompleteError(missing)
    out = _effective_of(TelegramBotSpec.model_validate(merged))
    if out.limits.budget.micros and (missing := list(without_price(out.model))):
        raise IncompleteError(missing)
    if out.proactive.enabled and (missing := list(_missing_to_write_first(out))):
        raise IncompleteError(missing)
    return out


def _missing_to_write_first(spec: EffectiveSpec) -> Iterator[str]:
    """Nobody but the owner knows what to write about, and at which hours people may be written to."""
    if spec.proactive.prompt is None:
        yield "spec.proactive.prompt"
    if spec.schedule is None:
        yield "spec.schedule"


def _is_unsaid(part: Any, fields: list[str]) -> bool:
    # What is no part is said so later.
    return part is None or (isinstance(part, dict) and all(part.get(field) is None for field in fields))


def _effective_of(whole: TelegramBotSpec) -> EffectiveSpec:
    persona, model, conversation = whole.persona, whole.model, whole.conversation
    assert persona and model and conversation  # noqa: S101 -- BUILT_IN has them
    assert persona.prompt is not None or persona.prompt_from  # noqa: S101
    return EffectiveSpec(
        account=whole.account,
        persona=Persona(persona.prompt or "", _said(persona.disclosure), persona.prompt_from),
        model=model_of(model),
        conversation=Conversation(
            _said(conversation.debounce_seconds),
            _said(conversation.history_messages),
            _said(conversation.history_tokens),
            _said(_said(conversation.memory).summarize_every_messages),
            _said(_said(conversation.memory).facts),
            _said(conversation.typing),
            _said(conversation.takeover_minutes),
            conversation.unavailable_text,
            _said(conversation.media_text),
        ),
        access=_access(_said(whole.access)),
        schedule=None if whole.schedule is None else _schedule(whole.schedule),
        proactive=_proactive(_said(whole.proactive)),
        limits=_limits(_said(whole.limits)),
        admins=tuple(_said(whole.admins)),
        suspend=_said(whole.suspend),
        deletion_policy=_said(whole.deletion_policy),
        egress=tuple(_said(_said(whole.network).egress)),
        workload=_said(whole.workload),
    )


def _access(access: AccessSpec) -> Access:
    allow, deny = (access.users.allow, access.users.deny) if access.users else (None, None)
    return Access(frozenset(allow or ()), frozenset(deny or ()), _said(access.groups), _said(access.private_chats))


def _schedule(schedule: ScheduleSpec) -> Schedule:
    return Schedule(
        schedule.time_zone,
        tuple(schedule.working_hours),
        schedule.outside_hours or OutsideHours.QUEUE,
        schedule.message or MESSAGE,
    )


def _proactive(proactive: ProactiveSpec) -> Proactive:
    return Proactive(
        _said(proactive.enabled),
        proactive.prompt,
        _said(proactive.after_silence_hours),
        _said(proactive.window_days),
        _said(proactive.messages_per_day),
        _said(proactive.max_unanswered),
    )


def _limits(limits: LimitsSpec) -> Limits:
    return Limits(
        _said(limits.messages_per_minute_per_chat), _said(limits.concurrent_replies), budget_of(_said(limits.budget))
    )


def _said(value: T | None) -> T:
    if value is None:
        raise AssertionError("the built-in defaults leave a field open")
    return value

"""
Why: what was observed, and what is to be done about it, as values: deciding can be tested without a cluster.
Never: hold an open connection, a clock, or a secret's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from botfleet.conditions import ConditionType, Phase, Reason
from botfleet.health import Health
from botfleet_operator.allowlist import ANYTHING, Allowlist
from botfleet_operator.builders import Platform
from botfleet_operator.defaults import DefaultsRecord
from botfleet_operator.model import BotKey, BotRecord, ChildRecord, PodRecord, SecretRecord
from botfleet_operator.podtemplate import TemplateRecord
from botfleet_operator.prompts import PromptRecord


class Absence(StrEnum):
    """Why a Secret is not in the watch. Told by one metadata-only GET, and only when somebody asks for it."""

    UNKNOWN = "unknown"
    MISSING = "missing"
    UNLABELLED = "unlabelled"
    ARRIVING = "arriving"  # it is there with its label; the watch will bring it


@dataclass(frozen=True, slots=True)
class Identity:
    """A bot's row: its key in the database, its role, its Redis user and the generations of its credentials."""

    bot_id: str
    uid: str
    role: str
    redis_user: str
    generation: int
    session_generation: int
    rotation: str | None = None  # digest of the request for a rotation that was done last


@dataclass(frozen=True, slots=True)
class BoundAccount:
    """A binding of this bot."""

    account_key: str
    credential_digest: str
    proved: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The lease row as it was last read, judged by the database's clock at that moment."""

    holder: str | None
    alive: bool  # the lease was not expired
    silent: bool  # no renewal for so long that its words are old news
    health: Health | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step did not succeed, in words for the condition; `seconds` before it may be tried again."""

    reason: Reason
    values: Mapping[str, str | int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What the roll-out says to one bot. As it is here: nothing is held back."""

    may: bool = True  # take a new pod template now
    now: str = ""  # the time, to be noted on a Deployment that is waited for
    overdue: bool = False  # it was waited for long enough
    timeout_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a decision may depend on."""

    bot: BotRecord
    platform: Platform
    defaults: Mapping[str, Any]  # the cluster's
    secrets: Mapping[str, SecretRecord | Absence]
    nearer: DefaultsRecord | None = None  # the namespace's
    prompts: Mapping[str, PromptRecord | Absence] = field(default_factory=dict)
    identity: Identity | None = None
    own: OwnSecrets | None = None
    role_exists: bool = False
    role_ready: bool = False  # with the password as it is to be
    user_ready: bool = False
    bound: tuple[BoundAccount, ...] = ()
    in_use_by: BotKey | None = None  # the account that this bot wants is bound to that one
    looked_up: bool = False  # whether children that the watch does not show were looked for
    children: Mapping[str, ChildRecord] = field(default_factory=dict)
    heartbeat: Heartbeat | None = None
    pods: tuple[PodRecord, ...] = ()
    failures: Mapping[type[Step], Failure] = field(default_factory=dict)
    allowed: Allowlist = ANYTHING
    turn: Turn = Turn()
    template: str = ""  # digest of the pod template that the bot should have; by hold.py, like the next
    held: TemplateRecord | None = None  # the one that it keeps for now


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """The bot's derived credentials, for the builder of its Secret alone."""

    database_password: str = field(repr=False)
    redis_password: str = field(repr=False)
    session_key: str = field(repr=False)


class Step:
    """Something to do. Each kind has one executor in apply.py."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class LookUpSecrets(Step):
    """Tell missing Secrets from unlabelled ones."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LookUpPrompts(Step):
    """The same of ConfigMaps with prompts."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnsureIdentity(Step):
    """A row in `bots`: a new one, or the retained one of the same name and credential."""

    credential_digest: str


@dataclass(frozen=True, slots=True)
class SetFinalizer(Step):
    """The finalizer on the object itself: with `Erase` it stands until the data is erased, else not at all."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class EraseData(Step):
    """Everything that the bot has in the database and in Redis; its role and its user first and last."""


@dataclass(frozen=True, slots=True)
class Rotate(Step):
    """The next generation of the derived credentials, once for this request."""

    request: str


@dataclass(frozen=True, slots=True)
class Bind(Step):
    """The account becomes this bot's, or turns out to be another's."""

    account_key: str
    credential_digest: str


@dataclass(frozen=True, slots=True)
class Prove(Step):
    """Telegram has accepted the credential: the binding is no longer provisional."""

    account_key: str


@dataclass(frozen=True, slots=True)
class EnsureRole(Step):
    """The database role, with its password and its membership."""


@dataclass(frozen=True, slots=True)
class EnsureUser(Step):
    """The Redis user."""


@dataclass(frozen=True, slots=True)
class LookUpChildren(Step):
    """Whether objects without our label still have the names that we need."""

    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Apply(Step):
    """Server-side apply of one child. `uid`: of the one that is there, None if none is, as far as is seen; others are left alone."""

    manifest: dict[str, Any] = field(repr=False)
    uid: str | None = None
    keeps_template: bool = False  # of a Deployment: with the pod template that it remembers

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])


@dataclass(frozen=True, slots=True)
class Delete(Step):
    """Remove a child of ours that belongs to an owner that is gone; it is made anew."""

    child: ChildRecord


REPLICAS = "/spec/replicas"  # of a Deployment, as a JSON pointer


@dataclass(frozen=True, slots=True)
class Patch(Step):
    """A JSON patch: foreign additions that server-side apply leaves, or a stop of the pods."""

    child: ChildRecord
    operations: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition as decided now. `status` is True, False or Unknown."""

    type: ConditionType
    status: str
    reason: Reason
    values: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """What was spent on a UTC day, and the limits; 0: no limit. Money in millionths."""

    day: date
    tokens: int
    micros: int
    tokens_limit: int
    micros_limit: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What moves with every message, and is therefore written now and then only. None: not known, the old one stays."""

    pending: int | None = None
    last_message_at: datetime | None = None
    last_reply_at: datetime | None = None
    budget: BudgetFigures | None = None
    no_budget: bool = False  # the spec has none: a figure of an earlier one goes


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next (in this order; the plan is made anew afterwards), and what to say about the bot meanwhile.

    A condition that is not among the verdicts keeps its old value.
    """

    steps: tuple[Step, ...]
    verdicts: tuple[Verdict, ...]
    phase: Phase
    account_id: int | None = None
    username: str | None = None
    figures: Figures = Figures()
    retry_seconds: float | None = None
    defaults: DefaultsRecord | None = None  # what took part
    in_force: bool = True  # False: the finalizer is not yet as this generation of the spec wants it

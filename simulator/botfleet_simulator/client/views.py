"""What the admin ports answer with, as objects.

Unknown fields of a newer server are passed over.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Self


class View:
    """The base: made from JSON by field names."""

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """The object of a JSON answer."""
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in data.items() if name in known})


@dataclass(frozen=True, slots=True)
class Account(View):
    """A bot or a person."""

    id: int
    kind: str
    name: str
    username: str | None
    last_name: str | None = None
    phone: str | None = None
    token: str | None = None
    token_expired: bool = False
    privacy_mode: bool = True
    has_password: bool = False
    deactivated: bool = False
    banned: bool = False
    blocked: list[int] = field(default_factory=list)
    commands: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Chat(View):
    """A group or channel; `id` is the marked one."""

    id: int
    bare_id: int
    kind: str
    title: str
    username: str | None
    members: list[int]
    admins: list[int]
    slow_mode_seconds: int = 0
    write_forbidden: bool = False
    migrated_to: int | None = None
    migrated_from: int | None = None
    forum: bool = False
    linked: int | None = None


@dataclass(frozen=True, slots=True)
class Message(View):
    """A message as one account has it. `topic`: the first message of the topic or thread in which it stands."""

    id: int
    account_id: int
    peer_id: int
    sender_id: int
    out: bool
    date: int
    text: str
    random_id: int
    entities: list[dict[str, Any]] = field(default_factory=list)
    reply_to: int | None = None
    topic: int | None = None
    edit_date: int | None = None
    pts: int | None = None
    service: str | None = None
    media: dict[str, Any] | None = None
    grouped_id: int | None = None


@dataclass(frozen=True, slots=True)
class State(View):
    """An account's update state; `channels` by marked id."""

    pts: int
    qts: int
    date: int
    seq: int
    channels: dict[int, int]


@dataclass(frozen=True, slots=True)
class Session(View):
    """An authorization key. `state`: authorized, unauthorized, or the error that it is answered with."""

    key_id: str
    account_id: int | None
    created: int
    device_model: str
    app_version: str
    connections: int
    state: str
    system_version: str = ""
    api_id: int = 0
    layer: int = 0


@dataclass(frozen=True, slots=True)
class Connection(View):
    """A live connection. `receiving`: updates are pushed to it."""

    id: int
    key_id: str | None
    account_id: int | None
    receiving: bool
    opened: float


@dataclass(frozen=True, slots=True)
class Call(View):
    """A request that came. `outcome`: running, ok, held, dropped, cut or an error's name."""

    seq: int
    time: float
    method: str
    account_id: int | None
    key_id: str
    outcome: str
    random_id: int | None = None


@dataclass(frozen=True, slots=True)
class Fault(View):
    """A fault that was switched on. `times_left` None: for ever."""

    id: int
    effect: str
    times_left: int | None
    hits: int
    spent: bool
    skip: int = 0
    method: str = "*"
    account: str | None = None
    key: str | None = None
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

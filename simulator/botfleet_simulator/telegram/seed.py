"""The accounts file: bots, people and groups that exist from the first second, with tokens and sessions known in advance.

Applied at every start; it must never take anything away from what exists already.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from telethon.sessions import StringSession

from botfleet_simulator.telegram import srp
from botfleet_simulator.telegram.domain import Account, ChatKind, mark_chat
from botfleet_simulator.telegram.refs import account_of
from botfleet_simulator.telegram.server import Server
from botfleet_simulator.telegram.world import AbsentError, TakenError

TOKEN_PATTERN = r"^\d+:[A-Za-z0-9_-]{10,}$"  # noqa: S105 - a pattern


class SeedError(ValueError):
    """The accounts file makes no sense; the message names the place."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Bot(_Entry):
    """A bot."""

    id: int = Field(gt=0)
    token: str = Field(pattern=TOKEN_PATTERN)
    username: str
    name: str | None = None
    privacy_mode: bool = True

    @model_validator(mode="after")
    def _own_token(self) -> "Bot":
        if not self.token.startswith(f"{self.id}:"):
            raise ValueError("the token must begin with the bot's id and a colon")
        return self


class Person(_Entry):
    """A person."""

    id: int | None = Field(default=None, gt=0)
    phone: str
    name: str = "Person"
    last_name: str | None = None
    username: str | None = None
    password: str | None = None
    session: str | None = None
    code: str | None = Field(default=None, pattern=r"^\d{5}$")


class Group(_Entry):
    """A group; `id` is the bare one."""

    id: int = Field(gt=0)
    kind: ChatKind = "basic"
    title: str
    owner: int | str
    username: str | None = None
    members: list[int | str] = Field(default_factory=list)
    admins: list[int | str] = Field(default_factory=list)


class Seed(_Entry):
    """The whole file."""

    bots: list[Bot] = Field(default_factory=list)
    people: list[Person] = Field(default_factory=list)
    groups: list[Group] = Field(default_factory=list)


def read(path: Path) -> Seed:
    """Read an accounts file. Raises SeedError."""
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return Seed.model_validate(data)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise SeedError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SeedError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def apply(server: Server, seed: Seed) -> None:
    """Make what is not there yet and set what the file says of what is. Raises SeedError."""
    try:
        for bot in seed.bots:
            _bot(server, bot)
        for person in seed.people:
            _person(server, person)
        for group in seed.groups:
            _group(server, group)
    except (TakenError, AbsentError) as error:
        raise SeedError(f"accounts file: {error}") from error
    server.storage.commit()


def _bot(server: Server, bot: Bot) -> None:
    world = server.world
    account = world.accounts.get(bot.id)
    if account is None:
        account = world.add_account("bot", bot.name or bot.username, account_id=bot.id, token=bot.token)
    account.token, account.privacy_mode, account.first_name = bot.token, bot.privacy_mode, bot.name or bot.username
    world.rename(account, bot.username)
    world.save_account(account)


def _person(server: Server, person: Person) -> None:
    world = server.world
    account = world.of_phone(person.phone)
    if account is None:
        account = world.add_account("person", person.name, account_id=person.id, phone=person.phone)
    elif person.id is not None and person.id != account.id:
        raise TakenError("a person's phone number belongs to another id")
    account.first_name, account.last_name, account.fixed_code = person.name, person.last_name, person.code
    if person.password is not None and account.password is None:
        account.password = srp.make(person.password)
    world.rename(account, person.username)
    world.save_account(account)
    if person.session is not None:
        _session(server, account, person.session)


def _session(server: Server, account: Account, text: str) -> None:
    try:
        key = StringSession(text).auth_key
    except ValueError:
        key = None
    if key is None:
        raise SeedError("accounts file: people: session: not a Telethon StringSession")
    if key.key_id not in server.keys:
        server.add_key(key, account.id)


def _group(server: Server, group: Group) -> None:
    peer = mark_chat(group.id, group.kind)
    members = [account_of(server.world, ref) for ref in (*group.members, *group.admins)]
    chat = server.world.chats.get(peer)
    if chat is None:
        owner = account_of(server.world, group.owner)
        chat, _ = server.manage.create(
            group.kind,
            group.title,
            owner,
            list({m.id: m for m in members}.values()),
            bare=group.id,
            username=group.username,
        )
    for ref in group.admins:
        server.manage.set_admin(chat, account_of(server.world, ref), admin=True)

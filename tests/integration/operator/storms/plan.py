"""
Why: what happens in a storm, drawn from a seed, and what should be there after it.
Never: do any of it, or know what an operator makes of it. Pure.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

ACCOUNTS_FROM, SHARED_FROM = 10_000, 5_000
# Of ten bots in a row these want one account between them, two of them in the same of three namespaces.
_SHARERS = frozenset({0, 1, 3})
_WITH_RUNNER = 3  # every third bot
_ERASED = 0.5  # of the objects that are made


class Act(enum.StrEnum):
    """What an owner, or somebody with rights on the children, does to one bot; and its runner, in the last."""

    CREATE = "create"
    PROMPT = "change the prompt"
    SUSPEND = "suspend or resume"
    LABEL = "label the bot"
    POLICY = "change deletionPolicy"
    NEW_TOKEN = "change the token"
    LOSE_SECRET = "delete its Secret"
    DELETE = "delete"
    REMAKE = "delete and make anew at once"
    MOVE = "delete and make anew with another account"
    TAKE_CHILD = "delete a child"
    EDIT_CHILD = "edit a child"
    HEALTH = "its runner says something else"


MAKING = frozenset({Act.CREATE, Act.REMAKE, Act.MOVE})
DELETING = frozenset({Act.DELETE, Act.REMAKE, Act.MOVE})
_WEIGHTS = {
    Act.PROMPT: 4, Act.SUSPEND: 3, Act.LABEL: 2, Act.POLICY: 2, Act.NEW_TOKEN: 2, Act.LOSE_SECRET: 1, Act.DELETE: 2,
    Act.REMAKE: 2, Act.MOVE: 2, Act.TAKE_CHILD: 4, Act.EDIT_CHILD: 5, Act.HEALTH: 3,
}  # fmt: skip
KINDS = ("ServiceAccount", "NetworkPolicy", "ConfigMap", "Secret", "Deployment")


class Says(enum.Enum):
    """What a bot's runner says of itself."""

    WELL = enum.auto()
    DISCONNECTED = enum.auto()
    REFUSED = enum.auto()  # Telegram does not take the token
    DEAF = enum.auto()  # connected, but nothing comes in


@dataclass
class Wanted:
    """One bot as its owner has left it."""

    name: str
    namespace: str
    account: int
    shared: int | None = None  # an account that others want as well; it is moved there and back
    runner: bool = False
    says: Says = Says.WELL
    exists: bool = False
    erase: bool = False
    prompt: int = 0
    token: int = 0  # the secret part's number
    suspended: bool = False
    secret: bool = True
    labels: int = 0

    @property
    def text(self) -> str:
        """Its prompt: no other bot has it, nor had it before."""
        return f"You are {self.name}, prompt {self.prompt}."

    @property
    def shares(self) -> bool:
        """Whether its account is one that others want as well."""
        return self.account == self.shared

    @property
    def credential(self) -> str:
        """The bot token. That of a shared account never changes: of two that differ each would have the account in turn,
        as long as no runner has proved one."""
        return f"{self.account}:AAplanted-{self.account}-{0 if self.shares else self.token}"


@dataclass(frozen=True)
class Event:
    """One act, and the bot as it should be after it. `number` chooses the child and the edit."""

    act: Act
    bot: Wanted
    number: int


@dataclass
class Plan:
    """All events in their order. `wanted` is moved on by `events` as they are drawn."""

    objects: int
    namespaces: tuple[str, ...]
    chance: random.Random
    rounds: float = 4.0  # events a bot, beyond its creation
    wanted: dict[str, Wanted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._accounts = iter(range(ACCOUNTS_FROM, 2**31))
        for number in range(self.objects):
            name = f"storm-{number:03}"
            place = self.namespaces[number % len(self.namespaces)]
            shared = SHARED_FROM + number // 10 if number % 10 in _SHARERS else None
            account = next(self._accounts) if shared is None else shared
            runner = number % _WITH_RUNNER == 0
            self.wanted[name] = Wanted(name, place, account, shared, runner)

    def events(self) -> Iterator[Event]:
        """Creations come early and mixed with the rest; what is deleted is often made again; a lost Secret comes back."""
        waiting = list(self.wanted)
        left = round(self.objects * self.rounds)
        while waiting or left > 0:
            living = [name for name, bot in self.wanted.items() if bot.exists]
            if waiting and (not living or self.chance.random() < 0.4):
                yield self._event(Act.CREATE, waiting.pop())
                continue
            if not living:
                return
            left -= 1
            name = self.chance.choice(living)
            acts = list(_possible(self.wanted[name]))
            act = self.chance.choices(acts, [_WEIGHTS[one] for one in acts])[0]
            yield self._event(act, name)
            if act is Act.DELETE and self.chance.random() < 0.6:
                waiting.insert(0, name)

    def _event(self, act: Act, name: str) -> Event:
        bot = self.wanted[name]
        if act in MAKING:
            bot.exists, bot.suspended, bot.secret = True, False, True
            bot.prompt += 1
            bot.erase = self.chance.random() < _ERASED
        elif act is Act.DELETE:
            bot.exists = False
        elif act is Act.PROMPT:
            bot.prompt += 1
        elif act is Act.SUSPEND:
            bot.suspended = not bot.suspended
        elif act is Act.LABEL:
            bot.labels += 1
        elif act is Act.POLICY:
            bot.erase = not bot.erase
        elif act is Act.NEW_TOKEN:
            bot.token, bot.secret = bot.token + 1, True
        elif act is Act.LOSE_SECRET:
            bot.secret = False
        elif act is Act.HEALTH:
            bot.says = self.chance.choice([word for word in Says if word is not bot.says])
        if act is Act.MOVE:
            bot.account = next(self._accounts) if bot.shared is None or bot.shares else bot.shared
        return Event(act, replace(bot), self.chance.randrange(2**30))


def _possible(bot: Wanted) -> Iterator[Act]:
    """A lost Secret comes back, with another token, before anything else happens to its bot."""
    for act in _WEIGHTS:
        if act is Act.NEW_TOKEN:
            if not bot.secret or not bot.shares:
                yield act
        elif bot.secret and (bot.runner or act is not Act.HEALTH):
            yield act

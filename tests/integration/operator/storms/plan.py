"""
Why: what happens in a storm, drawn from a seed, and what should be there after it.
Never: do any of it, or know what an operator makes of it. Pure.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

ACCOUNTS_FROM = 10_000


class Act(enum.StrEnum):
    """What an owner, or somebody with rights on the children, does to one bot."""

    CREATE = "create"
    PROMPT = "change the prompt"
    SUSPEND = "suspend or resume"
    LABEL = "label the bot"
    NEW_TOKEN = "change the token"
    LOSE_SECRET = "delete its Secret"
    DELETE = "delete"
    REMAKE = "delete and make anew at once"
    MOVE = "delete and make anew with another account"
    TAKE_CHILD = "delete a child"
    EDIT_CHILD = "edit a child"


_WEIGHTS = {
    Act.PROMPT: 4, Act.SUSPEND: 3, Act.LABEL: 2, Act.NEW_TOKEN: 2, Act.LOSE_SECRET: 1, Act.DELETE: 1, Act.REMAKE: 1,
    Act.MOVE: 1, Act.TAKE_CHILD: 4, Act.EDIT_CHILD: 5,
}  # fmt: skip
KINDS = ("ServiceAccount", "NetworkPolicy", "ConfigMap", "Secret", "Deployment")


@dataclass
class Wanted:
    """One bot as its owner has left it."""

    name: str
    namespace: str
    account: int
    exists: bool = False
    prompt: int = 0
    token: int = 0  # the secret part's number
    suspended: bool = False
    secret: bool = True
    labels: int = 0

    @property
    def text(self) -> str:
        """Its prompt: no other bot has it, nor had it before."""
        return f"You are {self.name}, prompt {self.prompt}."


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
        for number in range(self.objects):
            name = f"storm-{number:03}"
            place = self.namespaces[number % len(self.namespaces)]
            self.wanted[name] = Wanted(name, place, ACCOUNTS_FROM + number)

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
            bot = self.wanted[name]
            # A lost Secret comes back, with another token, before anything else happens to its bot.
            acts = list(_WEIGHTS) if bot.secret else [Act.NEW_TOKEN]
            act = self.chance.choices(acts, [_WEIGHTS[one] for one in acts])[0]
            yield self._event(act, name)
            if act is Act.DELETE and self.chance.random() < 0.6:
                waiting.insert(0, name)

    def _event(self, act: Act, name: str) -> Event:
        bot = self.wanted[name]
        if act in (Act.CREATE, Act.REMAKE, Act.MOVE):
            bot.exists, bot.suspended, bot.secret = True, False, True
            bot.prompt += 1
        elif act is Act.DELETE:
            bot.exists = False
        elif act is Act.PROMPT:
            bot.prompt += 1
        elif act is Act.SUSPEND:
            bot.suspended = not bot.suspended
        elif act is Act.LABEL:
            bot.labels += 1
        elif act is Act.NEW_TOKEN:
            bot.token, bot.secret = bot.token + 1, True
        elif act is Act.LOSE_SECRET:
            bot.secret = False
        if act is Act.MOVE:
            bot.account += self.objects
        return Event(act, replace(bot), self.chance.randrange(2**30))

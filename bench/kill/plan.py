"""Why: what goes wrong when, decided beforehand from a seed, so that a run can be repeated. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")
LONGEST_WAIT = 0.4  # seconds from a message to a kill at any moment


class Point(StrEnum):
    """Where a runner is when it is killed."""

    ANY = "any moment"
    INBOX = "a statement held at the table inbox"
    OUTBOX = "a statement held at the table outbox"
    OPT_OUTS = "a statement held at the table opt_outs"
    EVENTS = "a statement held at the table events"
    MODEL = "asked the model, not answered"
    BEFORE_SEND = "asked Telegram to send, not done"
    AFTER_SEND = "asked Telegram to send, done, not told"


HELD_TABLES = {Point.INBOX: "inbox", Point.OUTBOX: "outbox", Point.OPT_OUTS: "opt_outs", Point.EVENTS: "events"}


class Fault(StrEnum):
    """What the simulators do besides."""

    CUT = "connection cut"
    DROPPED = "answer to a send dropped"
    DROPPED_CUT = "answer to a send dropped, connection cut"
    HELD = "answer to a send held for a second"
    DIFFERENCE_CUT = "answer to a difference dropped, connection cut"
    DIFFERENCE_HELD = "answer to a difference held for a second"
    MODEL_ERROR = "model answers 500"
    MODEL_CUT = "model cuts its answer"


@dataclass(frozen=True)
class Kill:
    """One kill -9 of a bot's runner, once so many messages were sent.

    `unheard`: a statement that is held is executed all the same, and nobody hears of it; otherwise it is undone.
    """

    after: int
    bot: int
    point: Point
    wait: float
    unheard: bool


@dataclass(frozen=True)
class Trouble:
    """One fault, once so many messages were sent."""

    after: int
    bot: int
    fault: Fault


@dataclass(frozen=True)
class Plan:
    """All of a run. `letters`: who writes to which bot, in order; message numbers begin at 1."""

    letters: Sequence[tuple[int, int]]
    kills: Sequence[Kill]
    troubles: Sequence[Trouble]


def plan(seed: int, *, messages: int, people: int, bots: int, kills: int, faults: int) -> Plan:
    """The same for the same arguments. Every point comes in turn, at random moments."""
    chance = random.Random(seed)  # noqa: S311 - chooses moments
    letters = [(chance.randrange(people), chance.randrange(bots)) for _ in range(messages)]
    points = _in_turn(chance, list(Point), kills)
    whats = _in_turn(chance, list(Fault), faults)
    return Plan(
        letters,
        [
            Kill(after, chance.randrange(bots), point, chance.uniform(0, LONGEST_WAIT), chance.random() < 0.5)
            for after, point in zip(_moments(chance, messages, kills), points, strict=True)
        ],
        [
            Trouble(after, chance.randrange(bots), fault)
            for after, fault in zip(_moments(chance, messages, faults), whats, strict=True)
        ],
    )


def _moments(chance: random.Random, messages: int, count: int) -> list[int]:
    return sorted(chance.randrange(messages) for _ in range(count))


def _in_turn(chance: random.Random, kinds: list[T], count: int) -> list[T]:
    return [kind for _ in range(count // len(kinds) + 1) for kind in chance.sample(kinds, len(kinds))][:count]

"""Why: which commands there are, who may say them, and what Telegram shows of them. Pure: nothing is done here.

To somebody who is no admin an admin's command is a text like any other: nothing tells that there are such commands.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Command(StrEnum):
    """What people, and admins, can say to a bot itself."""

    START = "start"
    STOP = "stop"
    FORGET = "forget"
    HELP = "help"
    STATUS = "status"
    PAUSE = "pause"
    RESUME = "resume"
    BLOCK = "block"
    UNBLOCK = "unblock"
    TAKE = "take"
    RELEASE = "release"
    FACTS = "facts"


EVERYBODYS: dict[Command, str] = {
    Command.START: "Talk with me (again)",
    Command.STOP: "I will not write to you any more",
    Command.FORGET: "Erase what you wrote and what I answered",
    Command.HELP: "What I am, and these commands",
}
ADMINS: dict[Command, str] = {
    Command.STATUS: "How the bot is",
    Command.PAUSE: "Answer nobody; messages wait",
    Command.RESUME: "Answer again, also what waits",
    Command.BLOCK: "ID: do not answer this person",
    Command.UNBLOCK: "ID: answer this person again",
    Command.TAKE: "ID [MINUTES]: be silent in this chat, a person answers",
    Command.RELEASE: "ID: answer in this chat again",
    Command.FACTS: "ID [forget NAME | set NAME VALUE]: what I have learned of this person",
}
# They end what was asked before: it is not answered any more.
ENDING = frozenset({Command.STOP, Command.FORGET})
# All that a bot is told in a group, where others read along.
IN_GROUPS = frozenset({Command.START, Command.STOP})


@dataclass(frozen=True)
class Told:
    """A command, and the words behind it."""

    command: Command
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """What is said to a command. `discloses`: it says that an AI writes. `kept`: it may stay stored once it is sent."""

    text: str
    discloses: bool = False
    kept: bool = True


def command_of(text: str, username: str | None, *, private: bool, admin: bool = False) -> Told | None:
    """`/stop`, also `/stop@this_bot` and with words behind it; a command to another bot is none of ours.

    Args:
        private: said in a person's own chat; in a group most commands are texts like any other.
        admin: said by somebody who may steer the bot.
    """
    words = text.split()
    if not words or not words[0].startswith("/"):
        return None
    name, _, whom = words[0][1:].partition("@")
    if whom and (username is None or whom.lower() != username.lower()):
        return None
    known = _known(private, admin)
    return Told(Command(name.lower()), tuple(words[1:])) if name.lower() in known else None


def _known(private: bool, admin: bool) -> Collection[str]:
    if not private:
        return IN_GROUPS
    return EVERYBODYS | ADMINS if admin else EVERYBODYS


def is_release(text: str) -> bool:
    """Whether the owner of an account, typing into a chat, gives it back to the bot."""
    return text.strip().lower() == f"/{Command.RELEASE}"


def listed(commands: dict[Command, str]) -> str:
    """A line a command, for people."""
    return "\n".join(f"/{command} – {text}" for command, text in commands.items())


def digest_of(commands: Iterable[tuple[str, str]]) -> str:
    """Tells whether what Telegram was told to show is still what there is."""
    return hashlib.sha256("\n".join(f"{name} {text}" for name, text in commands).encode()).hexdigest()


def peer_of(words: tuple[str, ...]) -> int | None:
    """The person whom an admin names by a Telegram id."""
    word = words[0] if words else ""
    return int(word) if word.isascii() and word.isdigit() and 0 < len(word) <= 15 and int(word) > 0 else None


def minutes_of(words: tuple[str, ...], otherwise: int) -> int | None:
    """The time behind the person: a month at most. None: it is no such number."""
    if len(words) < 2:
        return otherwise
    word = words[1]
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 5 and 1 <= int(word) <= 43200 else None

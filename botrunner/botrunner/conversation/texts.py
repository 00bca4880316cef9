"""Why: the few sentences that a bot says by itself, in one place. The owner's persona has no part in them."""

from collections.abc import Mapping
from datetime import UTC, datetime

DISCLOSURE = "I am an AI assistant, not a person."
STARTED = f"Hello! {DISCLOSURE} Write to me and I will answer. /stop ends our conversation at any time."
STOPPED = "I will not write to you any more. /start if you change your mind."

FORGOTTEN = "I have erased what you wrote to me and what I answered."
HELP = f"{DISCLOSURE} Write to me and I will answer.\n\n"

PAUSED = "Paused: I answer nobody until /resume. What is written meanwhile waits."
RESUMED = "I answer again."
NOBODY = "Say the person's Telegram id behind the command: a number."
NO_TIME = "Say the time in minutes behind the id: a number from 1 to 43200."
NOT_AN_ADMIN = "Admins cannot be blocked."
NOT_TAKEN = "Nobody had taken that chat over."

NO_FACT = (
    "Say /facts ID, /facts ID forget NAME or /facts ID set NAME VALUE. A name is of lower-case English letters, digits and _,"
    " a value has at most 200 characters."
)
TOO_MANY_FACTS = "I keep no more than 40 facts of a person. Erase one first."


def known(person_id: int, facts: Mapping[str, str]) -> str:
    """To an admin."""
    if not facts:
        return f"I have learned no facts of {person_id}."
    listed = "\n".join(f"{name}: {value}" for name, value in facts.items())
    return f"What I have learned of {person_id}:\n{listed}"


def no_such_fact(person_id: int) -> str:
    """To an admin."""
    return f"I know no fact of that name. /facts {person_id} lists them."


def blocked(person_id: int) -> str:
    """To an admin."""
    return f"I do not answer {person_id} any more. /unblock {person_id} ends that."


def unblocked(person_id: int) -> str:
    """To an admin."""
    return f"I answer {person_id} again."


def taken(peer_id: int, until: datetime) -> str:
    """To an admin."""
    return f"I am silent in the chat with {peer_id} until {at(until)}. /release {peer_id} ends that."


def released(peer_id: int) -> str:
    """To an admin."""
    return f"I answer in the chat with {peer_id} again."


def at(moment: datetime) -> str:
    """A time as admins read it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def disclosed(answer: str) -> str:
    """An answer that says first who writes."""
    return f"{DISCLOSURE}\n\n{answer}"

"""Why: an admin sees what the bot has learned of a person, and puts it right: /facts. Nobody else is shown any of it.

The answer goes into the admin's own chat with the bot, and its text is stored only until it is sent, so that what a person has
erased later stands nowhere. A fact is named by its name, not by a place in a list: lists change, and a command may be done twice.
"""

import re

from botfleet.store.messages import MessagePath
from botfleet.store.rows import InboxRow
from botrunner.conversation import texts
from botrunner.conversation.commands import Command, Reply, peer_of
from botrunner.conversation.facts import LONGEST_VALUE, MOST, NAME

_NO_NAME = "-"
"""Stands where a word stood that is not kept; no fact is called so, and it changes none."""


async def obey_facts(path: MessagePath, row: InboxRow, words: tuple[str, ...]) -> Reply:
    """`/facts ID`, `/facts ID forget NAME`, `/facts ID set NAME VALUE`. Each answer to a change is what is known then.

    Killed between the change and its answer, the command is a mere `/facts ID` after the restart: the answer is the same. One
    that is refused keeps nothing of what it says either, but why it is.
    """
    mere = f"/{Command.FACTS}"
    person_id = peer_of(words)
    if person_id is None:
        return await _refused(path, row, texts.NOBODY, left=mere)
    mere = f"{mere} {person_id}"
    known = await path.facts(person_id)
    changes: dict[str, str | None] = {}
    match words[1:]:
        case ():
            return Reply(texts.known(person_id, known), kept=False)
        case ("forget", name) if name in known:
            changes = {name: None}
        case ("forget", _):
            return await _refused(path, row, texts.no_such_fact(person_id), left=f"{mere} forget {_NO_NAME}")
        case ("set", name, *value) if value and re.fullmatch(NAME, name) and len(" ".join(value)) <= LONGEST_VALUE:
            if name not in known and len(known) >= MOST:
                return await _refused(path, row, texts.TOO_MANY_FACTS, left=mere)
            changes = {name: " ".join(value)}
        case _:
            return await _refused(path, row, texts.NO_FACT, left=f"{mere} {_NO_NAME}")
    await path.correct_facts(person_id, changes, row, left=mere)
    return Reply(texts.known(person_id, await path.facts(person_id)), kept=False)


async def _refused(path: MessagePath, row: InboxRow, why: str, left: str) -> Reply:
    """What could not be obeyed may hold a value all the same, and the admin's chat is not the person's, who may erase it there."""
    await path.correct_facts(row.peer_id, {}, row, left=left)
    return Reply(why)

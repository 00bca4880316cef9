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


async def obey_facts(path: MessagePath, row: InboxRow, words: tuple[str, ...]) -> Reply:
    """`/facts ID`, `/facts ID forget NAME`, `/facts ID set NAME VALUE`. Each answer to a change is what is known then.

    Killed between the change and its answer, the command is a mere `/facts ID` after the restart: the answer is the same.
    """
    person_id = peer_of(words)
    if person_id is None:
        return Reply(texts.NOBODY)
    known = await path.facts(person_id)
    changes: dict[str, str | None] = {}
    match words[1:]:
        case ():
            return Reply(texts.known(person_id, known), kept=False)
        case ("forget", name) if name in known:
            changes = {name: None}
        case ("forget", _):
            return Reply(texts.no_such_fact(person_id))
        case ("set", name, *value) if value:
            text = " ".join(value)
            if not re.fullmatch(NAME, name) or len(text) > LONGEST_VALUE:
                return Reply(texts.NO_FACT)
            if name not in known and len(known) >= MOST:
                return Reply(texts.TOO_MANY_FACTS)
            changes = {name: text}
        case _:
            return Reply(texts.NO_FACT)
    await path.correct_facts(person_id, changes, row, left=f"/{Command.FACTS} {person_id}")
    return Reply(texts.known(person_id, await path.facts(person_id)), kept=False)

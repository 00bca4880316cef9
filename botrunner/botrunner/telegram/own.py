"""Why: what the account itself has written comes with a difference only if somebody has forgotten that it was written. Pure.

After a kill that is one message at most; after a restore of a backup it is all that was answered since.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from telethon.tl import types

from botfleet.store.rows import Intake, Written
from botrunner.telegram.addressing import reply_to
from botrunner.telegram.careful import read
from botrunner.telegram.entities import marked
from botrunner.telegram.ids import random_id

_CAUSES = ("reply", "command", "words")
_LATEST = 50
"""So many messages before an answer may be what it answers; more are no turn."""
_PARTS = 8


def own_messages(messages: Iterable[Any], self_id: int) -> tuple[Written, ...]:
    """Those of a difference that the account has written to others."""
    ours = (message for message in messages if isinstance(message, types.Message) and message.out)
    written = (read(message, _written) for message in ours)
    return tuple(one for one in written if one is not None and one.peer_id != self_id)


def _written(message: Any) -> Written:
    return Written(
        peer_id=marked(message.peer_id),
        message_id=message.id,
        text=message.message or "",
        date=message.date,
        reply_to_message_id=reply_to(message),
    )


def answers_of_a_run(written: Iterable[Written], intake: Intake, self_id: int) -> set[tuple[int, int]]:
    """Those that a run of this bot has sent as answers to messages that come with them: by the random_id, which follows from
    what is answered. Telegram tells it of some; of others nobody knows who wrote them."""
    ids = {message_id: number for number, message_id in intake.sent}
    found = set()
    for one in written:
        number = ids.get(one.message_id)
        if number is not None and number in _expected(one, intake, self_id):
            found.add((one.peer_id, one.message_id))
    return found


def _expected(one: Written, intake: Intake, self_id: int) -> set[int]:
    asked: Sequence[int] = sorted(
        message.message_id
        for message in intake.messages
        if message.peer_id == one.peer_id and message.message_id < one.message_id
    )[-_LATEST:]
    return {
        random_id(self_id, one.peer_id, f"{cause}:{message_id}", 0, part)
        for message_id in asked
        for cause in _CAUSES
        for part in range(_PARTS)
    }

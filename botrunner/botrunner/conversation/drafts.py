"""Why: what is said becomes rows of the outbox, each with its own random_id, which are decided here once. Pure.

In a group an answer shows which message it answers, and stays in its topic or under its post: Telegram puts a reply where the
message is that it replies to. So what is split replies with its first part, and with all of them where another would get lost.
"""

from botfleet.store.rows import Draft, InboxRow
from botrunner.telegram.format import split
from botrunner.telegram.formatted import Formatted
from botrunner.telegram.ids import random_id


def drafts(
    account_id: int,
    row: InboxRow,
    cause: str,
    whole: Formatted,
    *,
    in_history: bool,
    discloses: bool,
    kept: bool = True,
) -> list[Draft]:
    """The parts of one text. `row`: the message that it answers, the last one if there are several."""
    return [
        Draft(
            cause=cause,
            part=part,
            random_id=random_id(account_id, row.peer_id, cause, 0, part),
            text=piece.text,
            entities=piece.entities(),
            access_hash=row.access_hash,
            reply_to_message_id=row.message_id if _replies(row, part) else None,
            trace_id=row.trace_id,
            in_history=in_history,
            discloses=discloses,
            topic_id=row.topic_id,
            kept=kept,
        )
        for part, piece in enumerate(split(whole))
    ]


def _replies(row: InboxRow, part: int) -> bool:
    if row.peer_id > 0 or row.message_id < 0:  # of a group that became this supergroup: it cannot be replied to here
        return False
    return part == 0 or row.topic_id is not None or row.reply_to_message_id is not None

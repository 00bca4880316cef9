"""Why: a send that is repeated must carry the same random_id, so the id follows from what is sent and why. Pure."""

import hashlib


def random_id(account_id: int, peer_id: int, cause: str, sequence: int, part: int) -> int:
    """The id by which Telegram knows a repeated send: 64 bits, signed, never 0.

    Two different texts must never get the same id: the second would never be delivered. So each text needs a cause,
    sequence and part of its own, and the id is decided once and stored with the text.

    Args:
        account_id: who sends.
        peer_id: the chat, as a marked id.
        cause: what made the message ("reply:17", "command:18" …).
        sequence: counts the messages of one cause that are not parts of one text.
        part: of one text that was split, from 0.
    """
    said = "\n".join(("botfleet/random-id", str(account_id), str(peer_id), cause, str(sequence), str(part)))
    digest = hashlib.sha256(said.encode()).digest()
    for start in range(0, len(digest), 8):
        number = int.from_bytes(digest[start : start + 8], "big", signed=True)
        if number != 0:
            return number
    return 1

"""A line names its chat by a mark: the same for the same chat of a bot, another for another bot, and nobody's id."""

from typing import Any

from botrunner.logs import ChatMarks


def line(marks: ChatMarks, **fields: Any) -> dict[str, Any]:
    return dict(marks(None, "info", {"event": "reply_sent", **fields}))


def test_a_chats_id_becomes_a_mark_that_the_bot_gives_to_no_other() -> None:
    first, again, other = ChatMarks(), ChatMarks(), ChatMarks()
    first.key = again.key = b"a bot's"
    told = line(first, peer_id=5_550_001)
    assert told == line(again, peer_id=5_550_001), "also over a restart"
    assert set(told) == {"event", "chat"}
    assert "5550001" not in str(told)
    assert told != line(first, peer_id=5_550_002)
    assert told != line(other, peer_id=5_550_001)


def test_a_line_about_no_chat_has_no_mark() -> None:
    assert line(ChatMarks(), seconds=3) == {"event": "reply_sent", "seconds": 3}

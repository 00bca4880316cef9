"""Why: what Telegram's errors mean for us, as data. One table; nobody else compares error names.

Source of the names: https://core.telegram.org/method/messages.sendMessage and https://core.telegram.org/api/errors.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from telethon import errors as telethon_errors

from botfleet.conditions import Reason

TRANSPORT_KEY_UNKNOWN = "TRANSPORT_404"
"""Our name for the transport's answer -404: the server does not know the key."""

_NAME = re.compile(r"^[A-Z0-9_]{1,64}$")


class SendReason(StrEnum):
    """Why a message of the outbox failed; goes into the row, so at most 32 characters."""

    BLOCKED = "Blocked"
    DEACTIVATED = "Deactivated"
    WRITE_FORBIDDEN = "WriteForbidden"
    PEER_UNKNOWN = "PeerUnknown"
    PEER_FLOOD = "PeerFlood"
    TOO_LONG = "TooLong"
    EMPTY = "Empty"
    REFUSED = "Refused"
    MIGRATED = "Migrated"
    """Attempted in a group that is a supergroup now: nobody can tell any more whether it arrived."""


@dataclass(frozen=True)
class ChatRefusal:
    """This chat, or this text, only. `closes_chat`: nothing else can be written there either."""

    reason: SendReason
    closes_chat: bool


_CLOSED = {
    SendReason.BLOCKED: ("USER_IS_BLOCKED", "YOU_BLOCKED_USER"),
    SendReason.DEACTIVATED: ("INPUT_USER_DEACTIVATED",),
    SendReason.WRITE_FORBIDDEN: (
        "CHAT_WRITE_FORBIDDEN",
        "CHAT_ADMIN_REQUIRED",
        "CHAT_RESTRICTED",
        "CHAT_SEND_PLAIN_FORBIDDEN",
        "CHANNEL_PRIVATE",
        "CHAT_FORBIDDEN",
        "PRIVACY_PREMIUM_REQUIRED",
        "USER_BANNED_IN_CHANNEL",
        "USER_IS_BOT",
    ),
    SendReason.PEER_UNKNOWN: ("PEER_ID_INVALID", "CHAT_ID_INVALID", "CHANNEL_INVALID", "USER_ID_INVALID"),
}
_THIS_TEXT = {
    SendReason.WRITE_FORBIDDEN: ("TOPIC_CLOSED", "TOPIC_DELETED"),  # the other topics of the group are open
    SendReason.TOO_LONG: ("MESSAGE_TOO_LONG", "MEDIA_CAPTION_TOO_LONG"),
    SendReason.EMPTY: ("MESSAGE_EMPTY",),
    SendReason.PEER_FLOOD: ("PEER_FLOOD",),
}

CHAT_REFUSALS: dict[str, ChatRefusal] = {
    **{name: ChatRefusal(reason, closes_chat=True) for reason, names in _CLOSED.items() for name in names},
    **{name: ChatRefusal(reason, closes_chat=False) for reason, names in _THIS_TEXT.items() for name in names},
}

ALREADY_SENT = frozenset({"RANDOM_ID_DUPLICATE"})
"""The server has had this random_id: the message was sent."""

REPLY_GONE = frozenset({"REPLY_MESSAGE_ID_INVALID", "REPLY_TO_INVALID", "REPLY_MESSAGES_TOO_MUCH"})
"""Nothing was sent, because the message that it answers is gone."""

FORMATTING_REFUSED = frozenset({"ENTITY_BOUNDS_INVALID", "ENTITIES_TOO_LONG", "ENTITY_MENTION_USER_INVALID"})
"""Nothing was sent, because of the formatting; the text alone will do."""

ACCOUNT_LOST: dict[str, Reason] = {
    "AUTH_KEY_UNREGISTERED": Reason.SESSION_REVOKED,
    "AUTH_KEY_INVALID": Reason.SESSION_REVOKED,
    "AUTH_KEY_PERM_EMPTY": Reason.SESSION_REVOKED,
    "SESSION_REVOKED": Reason.SESSION_REVOKED,
    "SESSION_EXPIRED": Reason.SESSION_REVOKED,
    "SESSION_PASSWORD_NEEDED": Reason.NEVER_LOGGED_IN,
    TRANSPORT_KEY_UNKNOWN: Reason.SESSION_REVOKED,
    "AUTH_KEY_DUPLICATED": Reason.SESSION_DUPLICATED,
    "USER_DEACTIVATED": Reason.ACCOUNT_BANNED,
    "USER_DEACTIVATED_BAN": Reason.ACCOUNT_BANNED,
    "PHONE_NUMBER_BANNED": Reason.ACCOUNT_BANNED,
}
"""The authorization is gone. Telethon raises these and stays connected."""

KEY_IS_DEAD = frozenset(
    name for name, reason in ACCOUNT_LOST.items() if reason in (Reason.SESSION_REVOKED, Reason.SESSION_DUPLICATED)
)
"""A bot account discards the key and logs in with its token again."""

LOGIN_REFUSED: dict[str, Reason] = {
    "ACCESS_TOKEN_INVALID": Reason.TOKEN_INVALID,
    "ACCESS_TOKEN_EXPIRED": Reason.TOKEN_INVALID,
    "API_ID_INVALID": Reason.API_CREDENTIALS_INVALID,
    "API_ID_PUBLISHED_FLOOD": Reason.API_CREDENTIALS_INVALID,
    "CONNECTION_API_ID_INVALID": Reason.API_CREDENTIALS_INVALID,
}

WAIT_ACCOUNT = frozenset({"FLOOD_WAIT", "FLOOD_PREMIUM_WAIT", "FLOOD_TEST_PHONE_WAIT", "TAKEOUT_INIT_DELAY"})
WAIT_CHAT = frozenset({"SLOWMODE_WAIT"})

PASSING = frozenset({"RPC_CALL_FAIL", "RPC_MCGET_FAIL", "INTERDC_CALL_ERROR", "INTERDC_CALL_RICH_ERROR", "TIMEOUT"})
_PASSING_CODES = frozenset({500, 503})

STATE_REFUSED = frozenset(
    {"PERSISTENT_TIMESTAMP_EMPTY", "PERSISTENT_TIMESTAMP_INVALID", "PERSISTENT_TIMESTAMP_OUTDATED"}
)
"""Telegram makes nothing of the state from which a difference is asked for; of OUTDATED it says itself that it may pass."""

LOST_LINK: tuple[type[Exception], ...] = (
    OSError,  # time-outs too
    EOFError,
    BufferError,
    telethon_errors.BadMessageError,  # the server did not like the frame (its time, its number), not the request
    telethon_errors.InvalidChecksumError,
    telethon_errors.SecurityError,
    telethon_errors.TypeNotFoundError,
)
"""With what Telethon ends a connection, and the requests under way on it, when nothing is said about the account."""


@cache
def _names() -> dict[type[Exception], str]:
    exact = {kind: name for name, kind in telethon_errors.rpc_errors_dict.items()}
    # 'FLOOD_WAIT_(\\d+)' -> FLOOD_WAIT, 'INTERDC_(\\d+)_CALL_ERROR' -> INTERDC_CALL_ERROR
    patterns = {kind: pattern.replace("_(\\d+)", "") for pattern, kind in telethon_errors.rpc_errors_re}
    return patterns | exact


def wire_name(error: BaseException) -> str:
    """The error as Telegram spells it, without its number; for anything else the exception's own name.

    Safe to log and to store: upper case words of bounded length.
    """
    if isinstance(error, telethon_errors.AuthKeyNotFound):
        return TRANSPORT_KEY_UNKNOWN
    if not isinstance(error, telethon_errors.RPCError):
        return type(error).__name__
    known = _names().get(type(error))
    if known is not None:
        return known.upper()
    said = str(error.message or "").upper()
    return said if _NAME.match(said) else f"RPC_ERROR_{error.code}"


def wait_seconds(error: BaseException) -> int:
    """How long a flood or slow mode wait lasts, at least 1; 0: it is no such error."""
    if wire_name(error) not in WAIT_ACCOUNT | WAIT_CHAT:
        return 0
    return max(1, int(getattr(error, "seconds", 1)))


def is_passing(error: BaseException) -> bool:
    """Telegram's own trouble, or the network's: the same again, later."""
    if isinstance(error, telethon_errors.RPCError):
        return wire_name(error) in PASSING or abs(int(error.code or 0)) in _PASSING_CODES
    return isinstance(error, LOST_LINK)

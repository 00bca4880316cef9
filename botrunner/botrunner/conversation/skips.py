"""Why: the words for a message that gets no answer, in one place: they stand in the inbox and on a metric."""

from enum import StrEnum

from botfleet.store.answered_before import ANSWERED_BEFORE


class Skip(StrEnum):
    """Why a message gets no answer."""

    TOO_OLD = "TooOld"
    BACKLOG_TRUNCATED = "BacklogTruncated"
    OPTED_OUT = "OptedOut"
    NO_TEXT = "NoText"
    SERVICE = "Service"
    FROM_BOT = "FromBot"
    CHANNEL_POST = "ChannelPost"
    DENIED = "Denied"
    NOT_ALLOWED = "NotAllowed"
    PRIVATE_CHATS_OFF = "PrivateChatsOff"
    GROUPS_OFF = "GroupsOff"
    NOT_MENTIONED = "NotMentioned"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    BLOCKED = "Blocked"
    FORGOTTEN = "Forgotten"
    TAKEN_OVER = "TakenOver"
    ANSWERED_BEFORE = ANSWERED_BEFORE

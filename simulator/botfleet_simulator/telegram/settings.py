"""What can be changed about the simulated Telegram while it runs, and the faults that it knows.

Values in memory only: a restart begins with the defaults. It must never hold state of accounts or chats.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Behaviour in which real servers differ from moment to moment, or which tests need at a smaller scale."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    short_updates: bool | Literal["always"] = Field(
        default=True,
        description="short forms of updates: True = where this client has been shown all who are named, in basic groups only to people;"
        " 'always' = wherever the form can say it; False = never",
    )
    random_id_repeat: Literal["original", "duplicate"] = Field(
        default="original", description="answer to a repeated random_id: the original result, or RANDOM_ID_DUPLICATE"
    )
    duplicate_keys: Literal["allow", "refuse"] = Field(
        default="allow",
        description="'refuse': a second live connection with one key kills the key (AUTH_KEY_DUPLICATED)",
    )
    slice_limit: int = Field(default=100, ge=1, description="steps in one answer of updates.getDifference")
    difference_limit: int = Field(default=5000, ge=0, description="more steps than this: updates.differenceTooLong")
    channel_difference_limit: int = Field(default=5000, ge=0, description="the same for channels")
    channels_in_difference: bool = Field(
        default=True, description="updates.getDifference names changed channels by updateChannelTooLong"
    )
    message_ids_in_difference: bool = Field(
        default=True, description="updates.getDifference brings updateMessageID with the account's own messages"
    )
    min_users: bool = Field(
        default=False,
        description="updates of supergroups show members without a private chat as `min`, with a useless hash",
    )
    login_token_seconds: float = Field(default=30, gt=0, description="how long the token of a login by QR code is good")
    login_token_migrates: bool = Field(
        default=False,
        description="a scanned token is answered with auth.loginTokenMigrateTo, as for an account of another data center"
        " (here the same one: the client makes another key and imports the token)",
    )
    log_steps_kept: int = Field(
        default=20_000, ge=1, description="steps of a pts sequence that can be asked for at all"
    )


EFFECTS: dict[str, frozenset[str]] = {
    "error": frozenset({"code", "message"}),
    "delay": frozenset({"delay"}),
    "hold": frozenset({"before"}),
    "drop_answer": frozenset({"cut"}),
    "cut": frozenset(),
    "silence": frozenset(),
    "random_id_duplicate": frozenset(),
    "auth_key_duplicated": frozenset(),
    "refuse": frozenset(),
    "hang_handshake": frozenset(),
    "forget_key": frozenset(),
    "bad_salt": frozenset(),
    "expire_references": frozenset(),
}
ON_CALLS = ("error", "delay", "hold", "drop_answer", "cut")
LASTING = frozenset({"silence", "random_id_duplicate", "auth_key_duplicated", "refuse", "hang_handshake"})

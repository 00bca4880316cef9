"""Why: the tables, as SQLAlchemy knows them. Alembic (migrations/) makes them; a test compares the two.

Every table but `installation`, `bots`, `bindings` and `tombstones` begins its key with `bot_id`, and row-level security shows a
bot its own rows only (privileges.py). Ids of messages, states and access hashes belong to an account: those keys go on with it.
Times are aware UTC datetimes. Peer ids are Telegram's "marked" ids (users positive, groups -id, channels -100id).
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """timestamptz on PostgreSQL; on SQLite, which has none, ISO text in UTC. Always aware in Python."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("times in the store are aware")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value.astimezone(UTC) if value is not None else None


Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BotId = sa.String(32)
Id = sa.BigInteger


class InboxState(StrEnum):
    """Where a message that came in stands."""

    PENDING = "pending"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    FAILED = "failed"


class Sender(StrEnum):
    """Who wrote a message, as far as it matters: neither is ever answered. Nothing noted: a person, or not known."""

    BOT = "bot"
    CHANNEL = "channel"


class OutboxState(StrEnum):
    """Where a message that goes out stands. `attempted`: it may have reached Telegram."""

    PENDING = "pending"
    ATTEMPTED = "attempted"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Role(StrEnum):
    """Who said a message of the history."""

    USER = "user"
    ASSISTANT = "assistant"


def _bot_id(primary_key: bool = True) -> sa.Column[Any]:
    return sa.Column("bot_id", BotId, sa.ForeignKey("bots.id", ondelete="CASCADE"), primary_key=primary_key)


def _account_id() -> sa.Column[Any]:
    return sa.Column("account_id", Id, primary_key=True, autoincrement=False)


installation = sa.Table(
    "installation",
    metadata,
    sa.Column("only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("id", sa.String(8), nullable=False, comment="random; in the names of roles, Redis users and keys"),
    sa.Column(
        "compatible_from", sa.String(4), nullable=False, comment="oldest revision whose programs can use this schema"
    ),
    sa.Column("key_fingerprint", sa.String(64), comment="of the installation key, so that another one is noticed"),
    sa.Column("cluster_uid", sa.String(64), comment="UID of kube-system: removal by absence needs the same cluster"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.CheckConstraint('"only"', name="one_row"),
)

bots = sa.Table(
    "bots",
    metadata,
    sa.Column("id", BotId, primary_key=True),
    sa.Column("namespace", sa.String(63), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("uid", sa.String(64), comment="of the TelegramBot object; null when standalone"),
    sa.Column("role_name", sa.String(63), unique=True, comment="database role; opaque; null when standalone"),
    sa.Column("redis_user", sa.String(63), unique=True),
    sa.Column(
        "credential_digest",
        sa.String(64),
        comment="the credential that was proved last, until then the first; retained data asks for it",
    ),
    sa.Column("credentials_generation", sa.Integer, nullable=False, server_default="1"),
    sa.Column("session_key_generation", sa.Integer, nullable=False, server_default="1"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("deleted_at", UtcDateTime, comment="the object is gone, the data is retained"),
    sa.Column("credentials_rotation", sa.String(64), comment="digest of the last request for a rotation that was done"),
    sa.Index(
        "uq_bots_living_name",
        "namespace",
        "name",
        unique=True,
        postgresql_where=sa.text("deleted_at is null"),
        sqlite_where=sa.text("deleted_at is null"),
    ),
)

bindings = sa.Table(
    "bindings",
    metadata,
    sa.Column("account_key", sa.String(80), primary_key=True, comment="bot:ID, session:DIGEST or user:ID"),
    sa.Column("bot_id", BotId, sa.ForeignKey("bots.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("credential_digest", sa.String(64), nullable=False),
    sa.Column(
        "proved", sa.Boolean, nullable=False, server_default=sa.false(), comment="Telegram accepted the credential"
    ),
    sa.Column("bound_at", UtcDateTime, nullable=False),
    sa.Column(
        "moving",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="another bot was served with it: what goes with the account is still to come",
    ),
)

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column(
        "digest", sa.String(64), primary_key=True, comment="of account and person or chat, under the installation's key"
    ),
    sa.Column("erased_at", UtcDateTime, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    _bot_id(),
    sa.Column("holder", sa.String(64), comment="the pod's UID; null: released"),
    sa.Column("token", Id, comment="random; every write of state carries it"),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("renewed_at", UtcDateTime),
    sa.Column("health", Json, comment="botfleet.health.Health"),
    sa.Column("health_changed_at", UtcDateTime, index=True),
    # The operator reads what a bot's role wrote here: nothing that its driver or its parser cannot take may stand in it.
    *(
        sa.CheckConstraint(f"{column} between '2000-01-01' and '3000-01-01'", name=f"{column}_is_a_time")
        for column in ("expires_at", "renewed_at", "health_changed_at")
    ),
    sa.CheckConstraint("length(cast(health as text)) <= 1024", name="health_is_small"),
)

accounts = sa.Table(
    "accounts",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("credential_digest", sa.String(64), nullable=False),
    sa.Column("session", sa.LargeBinary, comment="sealed: data center, address, port, auth key"),
    sa.Column("username", sa.String(64)),
    sa.Column("authorized_at", UtcDateTime, comment="null: the key is stored but was not seen authorized yet"),
    sa.Column("token_login_at", UtcDateTime, comment="last login with the token, to keep them rare"),
)

update_states = sa.Table(
    "update_states",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("channel_id", Id, primary_key=True, autoincrement=False, comment="0: the account's common state"),
    sa.Column("pts", Id, nullable=False),
    sa.Column("qts", Id, nullable=False, server_default="0"),
    sa.Column("date", UtcDateTime),
    sa.Column("seq", Id, nullable=False, server_default="0"),
)

peers = sa.Table(
    "peers",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("access_hash", Id, nullable=False),
)

chats = sa.Table(
    "chats",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("disclosed_at", UtcDateTime, comment="when the bot last said of itself that it is an AI"),
    sa.Column("closed_reason", sa.String(32), comment="Telegram lets us not write here"),
    sa.Column("not_before", UtcDateTime, comment="slow mode, or a flood wait of this chat"),
    sa.Column("migrated_to", Id, comment="the supergroup that this group became"),
)

inbox = sa.Table(
    "inbox",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("message_id", Id, primary_key=True, autoincrement=False),
    sa.Column("sender_id", Id),
    sa.Column("access_hash", Id, comment="of the peer, as seen with this message; null: unknown"),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("date", UtcDateTime, nullable=False, comment="Telegram's"),
    sa.Column("edit_date", UtcDateTime),
    sa.Column("grouped_id", Id),
    sa.Column("reply_to_message_id", Id),
    sa.Column("trace_id", sa.String(32), nullable=False, comment="follows the message from update to reply"),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("state", sa.String(12), nullable=False, server_default=InboxState.PENDING.value),
    sa.Column("reason", sa.String(32)),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("sender_name", sa.Text, comment="as the sender called itself then"),
    sa.Column("sender_kind", sa.String(8), comment="bot, channel; null: a person, or not known"),
    sa.Column("mentioned", sa.Boolean, nullable=False, server_default=sa.false(), comment="Telegram says it is for us"),
    sa.Column("topic_id", Id, comment="of a forum; null: none"),
    sa.Column("media", Json, comment="kind, type, size, seconds; null: none"),
    sa.Column("words", sa.Text, comment="what its media says; empty: it cannot be read; null: not looked at"),
    sa.Index(
        "ix_inbox_pending",
        "bot_id",
        "account_id",
        "peer_id",
        "message_id",
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    ),
)

# Of the cause of a message that the bot writes first: as the index has it, so that the plan may use that.
IS_STARTER = "substr(cause, 1, 8) = 'starter:'"

outbox = sa.Table(
    "outbox",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("position", Id, primary_key=True, autoincrement=False, comment="order within the chat, from 1"),
    sa.Column("random_id", Id, nullable=False, comment="decided once; Telegram knows a repeated send by it"),
    sa.Column("cause", sa.String(48), nullable=False, comment="reply:ID, command:ID, disclosure:ID …"),
    sa.Column("part", sa.Integer, nullable=False, server_default="0"),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("entities", Json),
    sa.Column("access_hash", Id),
    sa.Column("reply_to_message_id", Id),
    sa.Column("trace_id", sa.String(32), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("state", sa.String(12), nullable=False, server_default=OutboxState.PENDING.value),
    sa.Column("reason", sa.String(32)),
    sa.Column("attempted_at", UtcDateTime),
    sa.Column("not_before", UtcDateTime),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("sent_message_id", Id),
    sa.Column("history_position", Id, comment="of this text in messages; null: it is not part of the conversation"),
    sa.Column("topic_id", Id, comment="of a forum; null: none"),
    sa.Column("attempted_in", Id, comment="the group that became this supergroup after the attempt; null: here"),
    sa.UniqueConstraint("bot_id", "account_id", "random_id"),
    sa.Index(
        "ix_outbox_sent",
        "bot_id",
        "account_id",
        "peer_id",
        "sent_message_id",
        postgresql_where=sa.text("sent_message_id is not null"),
        sqlite_where=sa.text("sent_message_id is not null"),
    ),
    sa.Index(
        "ix_outbox_open",
        "bot_id",
        "account_id",
        "peer_id",
        "position",
        postgresql_where=sa.text("state in ('pending', 'attempted')"),
        sqlite_where=sa.text("state in ('pending', 'attempted')"),
    ),
    sa.Index(
        "ix_outbox_starters",
        "bot_id",
        "account_id",
        "created_at",
        postgresql_where=sa.text(IS_STARTER),
        sqlite_where=sa.text(IS_STARTER),
    ),
)

messages = sa.Table(
    "messages",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("position", Id, primary_key=True, autoincrement=False, comment="order of the conversation, from 1"),
    sa.Column("role", sa.String(12), nullable=False),
    sa.Column("message_id", Id, comment="Telegram's; of a reply once it is sent"),
    sa.Column("sender_id", Id),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("date", UtcDateTime, nullable=False),
    sa.Column("sender_name", sa.Text, comment="as the sender called itself then"),
    sa.Column("topic_id", Id, comment="or the post under which it was said; null: none"),
    sa.UniqueConstraint("bot_id", "account_id", "peer_id", "role", "message_id"),
    sa.Index(
        "ix_messages_topic",
        "bot_id",
        "account_id",
        "peer_id",
        "topic_id",
        "position",
        postgresql_where=sa.text("topic_id is not null"),
        sqlite_where=sa.text("topic_id is not null"),
    ),
)

summaries = sa.Table(
    "summaries",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("up_to_position", Id, nullable=False, comment="the last message of the history that is summed up"),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

facts = sa.Table(
    "facts",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(48), primary_key=True),
    sa.Column(
        "version", sa.Integer, primary_key=True, autoincrement=False, comment="from 1; the last is the valid one"
    ),
    sa.Column("value", sa.Text, comment="null: it was erased"),
    sa.Column("learned_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime, comment="null: it is valid"),
)

opt_outs = sa.Table(
    "opt_outs",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("person_id", Id, primary_key=True, autoincrement=False),
    sa.Column("since", UtcDateTime, nullable=False),
)

blocks = sa.Table(
    "blocks",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("person_id", Id, primary_key=True, autoincrement=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("by", Id, nullable=False, comment="the admin who said it"),
)

takeovers = sa.Table(
    "takeovers",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False, comment="what was written before it is the person's who took over"),
    sa.Column("by", Id, nullable=False, comment="an admin, or the account itself: its owner typed"),
    sa.Column("ended_at", UtcDateTime, comment="null: its end has not been told yet"),
)

starters = sa.Table(
    "starters",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("peer_id", Id, primary_key=True, autoincrement=False),
    sa.Column("next_at", UtcDateTime, nullable=False, comment="when to look whether to write first to this person"),
    sa.Column("started_at", UtcDateTime, comment="when the bot last wrote first"),
    sa.Column(
        "unanswered", sa.Integer, nullable=False, server_default="0", comment="so often in a row, without an answer"
    ),
    sa.Index("ix_starters_next", "bot_id", "account_id", "next_at"),
)

controls = sa.Table(
    "controls",
    metadata,
    _bot_id(),
    _account_id(),
    sa.Column("paused_at", UtcDateTime, comment="an admin said /pause; null: the bot answers"),
    sa.Column("paused_by", Id),
    sa.Column("commands_digest", sa.String(64), comment="of the commands that Telegram was told to show"),
)

events = sa.Table(
    "events",
    metadata,
    _bot_id(),
    sa.Column("id", sa.String(32), primary_key=True, comment="UUID version 7 in hex: sorts by time"),
    sa.Column("type", sa.String(48), nullable=False),
    sa.Column("time", UtcDateTime, nullable=False),
    sa.Column("data", Json, nullable=False, comment="ids and counts; never text"),
    sa.Column("relayed_at", UtcDateTime),
    sa.Index(
        "ix_events_unrelayed",
        "bot_id",
        "id",
        postgresql_where=sa.text("relayed_at is null"),
        sqlite_where=sa.text("relayed_at is null"),
    ),
)

usage = sa.Table(
    "usage",
    metadata,
    _bot_id(),
    sa.Column("day", sa.Date, primary_key=True, comment="of UTC"),
    sa.Column("model", sa.String(256), primary_key=True, comment="as its endpoint calls it"),
    sa.Column("requests", Id, nullable=False, comment="calls that were answered, with or without a text"),
    sa.Column("input_tokens", Id, nullable=False),
    sa.Column("output_tokens", Id, nullable=False),
    sa.Column("cost_micros", Id, nullable=False, comment="millionths of the owner's currency"),
)

"""Why: the first tables, and the installation's random id, which is in the names of roles, Redis users and keys.

Released once, never changed. Revision 0001, the first.
"""

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "bots",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("namespace", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column(
            "uid", sa.String(length=64), nullable=True, comment="of the TelegramBot object; null when standalone"
        ),
        sa.Column(
            "role_name", sa.String(length=63), nullable=True, comment="database role; opaque; null when standalone"
        ),
        sa.Column("redis_user", sa.String(length=63), nullable=True),
        sa.Column(
            "credential_digest",
            sa.String(length=64),
            nullable=True,
            comment="the credential that was last bound; retained data asks for it",
        ),
        sa.Column("credentials_generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("session_key_generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "deleted_at", sa.DateTime(timezone=True), nullable=True, comment="the object is gone, the data is retained"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bots")),
        sa.UniqueConstraint("redis_user", name=op.f("uq_bots_redis_user")),
        sa.UniqueConstraint("role_name", name=op.f("uq_bots_role_name")),
    )
    op.create_index(
        "uq_bots_living_name",
        "bots",
        ["namespace", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at is null"),
        sqlite_where=sa.text("deleted_at is null"),
    )
    op.create_table(
        "installation",
        sa.Column("only", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column(
            "id", sa.String(length=8), nullable=False, comment="random; in the names of roles, Redis users and keys"
        ),
        sa.Column(
            "compatible_from",
            sa.String(length=4),
            nullable=False,
            comment="oldest revision whose programs can use this schema",
        ),
        sa.Column(
            "key_fingerprint",
            sa.String(length=64),
            nullable=True,
            comment="of the installation key, so that another one is noticed",
        ),
        sa.Column(
            "cluster_uid",
            sa.String(length=64),
            nullable=True,
            comment="UID of kube-system: removal by absence needs the same cluster",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint('"only"', name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_installation")),
    )
    op.create_table(
        "accounts",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("credential_digest", sa.String(length=64), nullable=False),
        sa.Column("session", sa.LargeBinary(), nullable=True, comment="sealed: data center, address, port, auth key"),
        sa.Column("username", sa.String(length=64), nullable=True),
        sa.Column(
            "authorized_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="null: the key is stored but was not seen authorized yet",
        ),
        sa.Column(
            "token_login_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="last login with the token, to keep them rare",
        ),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_accounts_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "bindings",
        sa.Column("account_key", sa.String(length=80), nullable=False, comment="bot:ID, session:DIGEST or user:ID"),
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("credential_digest", sa.String(length=64), nullable=False),
        sa.Column(
            "proved",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="Telegram accepted the credential",
        ),
        sa.Column("bound_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_bindings_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_key", name=op.f("pk_bindings")),
    )
    op.create_index(op.f("ix_bindings_bot_id"), "bindings", ["bot_id"], unique=False)
    op.create_table(
        "chats",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "disclosed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the bot last said of itself that it is an AI",
        ),
        sa.Column("closed_reason", sa.String(length=32), nullable=True, comment="Telegram lets us not write here"),
        sa.Column(
            "not_before", sa.DateTime(timezone=True), nullable=True, comment="slow mode, or a flood wait of this chat"
        ),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_chats_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "peer_id", name=op.f("pk_chats")),
    )
    op.create_table(
        "events",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False, comment="UUID version 7 in hex: sorts by time"),
        sa.Column("type", sa.String(length=48), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", JSON, nullable=False, comment="ids and counts; never text"),
        sa.Column("relayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_events_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "id", name=op.f("pk_events")),
    )
    op.create_index(
        "ix_events_unrelayed",
        "events",
        ["bot_id", "id"],
        unique=False,
        postgresql_where=sa.text("relayed_at is null"),
        sqlite_where=sa.text("relayed_at is null"),
    )
    op.create_table(
        "inbox",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sender_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "access_hash",
            sa.BigInteger(),
            nullable=True,
            comment="of the peer, as seen with this message; null: unknown",
        ),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("date", sa.DateTime(timezone=True), nullable=False, comment="Telegram's"),
        sa.Column("edit_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("grouped_id", sa.BigInteger(), nullable=True),
        sa.Column("reply_to_message_id", sa.BigInteger(), nullable=True),
        sa.Column("trace_id", sa.String(length=32), nullable=False, comment="follows the message from update to reply"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=12), server_default="pending", nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_inbox_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "peer_id", "message_id", name=op.f("pk_inbox")),
    )
    op.create_index(
        "ix_inbox_pending",
        "inbox",
        ["bot_id", "account_id", "peer_id", "message_id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "leases",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True, comment="the pod's UID; null: released"),
        sa.Column("token", sa.BigInteger(), nullable=True, comment="random; every write of state carries it"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("health", JSON, nullable=True, comment="botfleet.health.Health"),
        sa.Column("health_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "expires_at between '2000-01-01' and '3000-01-01'", name=op.f("ck_leases_expires_at_is_a_time")
        ),
        sa.CheckConstraint(
            "renewed_at between '2000-01-01' and '3000-01-01'", name=op.f("ck_leases_renewed_at_is_a_time")
        ),
        sa.CheckConstraint(
            "health_changed_at between '2000-01-01' and '3000-01-01'",
            name=op.f("ck_leases_health_changed_at_is_a_time"),
        ),
        sa.CheckConstraint("length(cast(health as text)) <= 1024", name=op.f("ck_leases_health_is_small")),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_leases_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", name=op.f("pk_leases")),
    )
    op.create_index(op.f("ix_leases_health_changed_at"), "leases", ["health_changed_at"], unique=False)
    op.create_table(
        "messages",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "position",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="order of the conversation, from 1",
        ),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True, comment="Telegram's; of a reply once it is sent"),
        sa.Column("sender_id", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("date", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_messages_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "peer_id", "position", name=op.f("pk_messages")),
        sa.UniqueConstraint(
            "bot_id",
            "account_id",
            "peer_id",
            "role",
            "message_id",
            name=op.f("uq_messages_bot_id_account_id_peer_id_role_message_id"),
        ),
    )
    op.create_table(
        "opt_outs",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_opt_outs_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "person_id", name=op.f("pk_opt_outs")),
    )
    op.create_table(
        "outbox",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.BigInteger(), autoincrement=False, nullable=False, comment="order within the chat, from 1"
        ),
        sa.Column(
            "random_id", sa.BigInteger(), nullable=False, comment="decided once; Telegram knows a repeated send by it"
        ),
        sa.Column("cause", sa.String(length=48), nullable=False, comment="reply:ID, command:ID, disclosure:ID …"),
        sa.Column("part", sa.Integer(), server_default="0", nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("entities", JSON, nullable=True),
        sa.Column("access_hash", sa.BigInteger(), nullable=True),
        sa.Column("reply_to_message_id", sa.BigInteger(), nullable=True),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=12), server_default="pending", nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_message_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "history_position",
            sa.BigInteger(),
            nullable=True,
            comment="of this text in messages; null: it is not part of the conversation",
        ),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_outbox_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "peer_id", "position", name=op.f("pk_outbox")),
        sa.UniqueConstraint("bot_id", "account_id", "random_id", name=op.f("uq_outbox_bot_id_account_id_random_id")),
    )
    op.create_index(
        "ix_outbox_open",
        "outbox",
        ["bot_id", "account_id", "peer_id", "position"],
        unique=False,
        postgresql_where=sa.text("state in ('pending', 'attempted')"),
        sqlite_where=sa.text("state in ('pending', 'attempted')"),
    )
    op.create_table(
        "peers",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("access_hash", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_peers_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "peer_id", name=op.f("pk_peers")),
    )
    op.create_table(
        "update_states",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "channel_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="0: the account's common state"
        ),
        sa.Column("pts", sa.BigInteger(), nullable=False),
        sa.Column("qts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_update_states_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "channel_id", name=op.f("pk_update_states")),
    )
    installation = sa.table(
        "installation",
        sa.column("id", sa.String),
        sa.column("compatible_from", sa.String),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    op.execute(
        installation.insert().values(
            id=secrets.token_hex(4), compatible_from=compatible_from, created_at=datetime.now(UTC)
        )
    )


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

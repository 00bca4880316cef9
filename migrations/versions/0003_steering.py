"""Why: who may steer a bot from within a chat: people whom it does not answer, chats that a person has taken over, a pause.

Released once, never changed. Tables are added only: programs of 0001 go on with this schema.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    op.create_table(
        "blocks",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=False, comment="the admin who said it"),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_blocks_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "person_id", name=op.f("pk_blocks")),
    )
    op.create_table(
        "takeovers",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="what was written before it is the person's who took over",
        ),
        sa.Column("by", sa.BigInteger(), nullable=False, comment="an admin, or the account itself: its owner typed"),
        sa.Column(
            "ended_at", sa.DateTime(timezone=True), nullable=True, comment="null: its end has not been told yet"
        ),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_takeovers_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "peer_id", name=op.f("pk_takeovers")),
    )
    op.create_table(
        "controls",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "paused_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="an admin said /pause; null: the bot answers",
        ),
        sa.Column("paused_by", sa.BigInteger(), nullable=True),
        sa.Column(
            "commands_digest",
            sa.String(length=64),
            nullable=True,
            comment="of the commands that Telegram was told to show",
        ),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_controls_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", name=op.f("pk_controls")),
    )


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

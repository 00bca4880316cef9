"""Why: whom a bot may write to first, and when it did.

Released once, never changed. Revision 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    op.create_table(
        "starters",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "next_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when to look whether to write first to this person",
        ),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), nullable=True, comment="when the bot last wrote first"
        ),
        sa.Column(
            "unanswered",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="so often in a row, without an answer",
        ),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_starters_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "peer_id", name=op.f("pk_starters")),
    )
    op.create_index("ix_starters_next", "starters", ["bot_id", "account_id", "next_at"], unique=False)
    op.create_index(
        "ix_outbox_starters",
        "outbox",
        ["bot_id", "account_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("substr(cause, 1, 8) = 'starter:'"),
        sqlite_where=sa.text("substr(cause, 1, 8) = 'starter:'"),
    )
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

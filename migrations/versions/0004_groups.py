"""Why: to answer in a group one must know who said what to whom, and in which topic.

Old rows say nothing of it, which is true of them. Released once, never changed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    name = "as the sender called itself then"
    topic = "of a forum; null: none"
    for column in (
        sa.Column("sender_name", sa.Text(), nullable=True, comment=name),
        sa.Column(
            "sender_kind", sa.String(length=8), nullable=True, comment="bot, channel; null: a person, or not known"
        ),
        sa.Column(
            "mentioned",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="Telegram says it is for us",
        ),
        sa.Column("topic_id", sa.BigInteger(), nullable=True, comment=topic),
    ):
        op.add_column("inbox", column)
    op.add_column("messages", sa.Column("sender_name", sa.Text(), nullable=True, comment=name))
    op.add_column("outbox", sa.Column("topic_id", sa.BigInteger(), nullable=True, comment=topic))
    op.create_index(
        "ix_outbox_sent",
        "outbox",
        ["bot_id", "account_id", "peer_id", "sent_message_id"],
        unique=False,
        postgresql_where=sa.text("sent_message_id is not null"),
        sqlite_where=sa.text("sent_message_id is not null"),
    )
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

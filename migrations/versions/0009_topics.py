"""Why: what is said in one topic of a group is no part of what is said in another.

Old rows say nothing of their topic: they count as said outside of any. Released once, never changed. Revision 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    column = sa.Column("topic_id", sa.BigInteger(), nullable=True, comment="or the post under which it was said; null: none")
    op.add_column("messages", column)
    op.create_index(
        "ix_messages_topic",
        "messages",
        ["bot_id", "account_id", "peer_id", "topic_id", "position"],
        unique=False,
        postgresql_where=sa.text("topic_id is not null"),
        sqlite_where=sa.text("topic_id is not null"),
    )
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

"""Why: what a bot has learned of the people it chats with, where its owner wants that.

Released once, never changed. Revision 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    op.create_table(
        "facts",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column(
            "version", sa.Integer(), autoincrement=False, nullable=False, comment="from 1; the last is the valid one"
        ),
        sa.Column("value", sa.Text(), nullable=True, comment="null: it was erased"),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="null: it is valid"),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_facts_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "account_id", "peer_id", "name", "version", name=op.f("pk_facts")),
    )
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

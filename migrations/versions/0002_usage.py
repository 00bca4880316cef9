"""Why: what models cost is counted where it is not forgotten: a row a bot, day and model, which budgets are read from.

Revision 0002, after 0001. Programs of 0001 know nothing of the table and need not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="of UTC"),
        sa.Column("model", sa.String(length=256), nullable=False, comment="as its endpoint calls it"),
        sa.Column("requests", sa.BigInteger(), nullable=False, comment="calls that were answered, with or without a text"),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False, comment="millionths of the owner's currency"),
        sa.ForeignKeyConstraint(["bot_id"], ["bots.id"], name=op.f("fk_usage_bots"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id", "day", "model", name=op.f("pk_usage")),
    )


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

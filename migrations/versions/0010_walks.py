"""Why: an account moves to another bot, and a group becomes a supergroup; both leave a trace until all has followed.

Old rows say nothing of it, which is true of them. Released once, never changed. Revision 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    op.add_column(
        "bindings",
        sa.Column(
            "moving",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="another bot was served with it: what goes with the account is still to come",
        ),
    )
    op.add_column(
        "chats",
        sa.Column("migrated_to", sa.BigInteger(), nullable=True, comment="the supergroup that this group became"),
    )
    op.add_column(
        "outbox",
        sa.Column(
            "attempted_in",
            sa.BigInteger(),
            nullable=True,
            comment="the group that became this supergroup after the attempt; null: here",
        ),
    )
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

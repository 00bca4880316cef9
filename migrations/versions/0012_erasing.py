"""Why: what is left of an erased bot are digests of the people and chats that it knew; a rotation that was asked for is done once.

Released once, never changed. Revision 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    op.create_table(
        "tombstones",
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=False,
            comment="of account and person or chat, under the installation's key",
        ),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tombstones")),
    )
    op.add_column(
        "bots",
        sa.Column(
            "credentials_rotation",
            sa.String(length=64),
            nullable=True,
            comment="digest of the last request for a rotation that was done",
        ),
    )
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

"""Why: a voice message is answered by what is said in it, which is paid for once; and a kill must not lose what a message carries.

Old rows say nothing of it: what they carried is answered as before. Released once, never changed. Revision 0008, after 0006.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0006"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    media = sa.Column(
        "media",
        sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
        nullable=True,
        comment="kind, type, size, seconds; null: none",
    )
    words = sa.Column(
        "words", sa.Text(), nullable=True, comment="what its media says; empty: it cannot be read; null: not looked at"
    )
    op.add_column("inbox", media)
    op.add_column("inbox", words)
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

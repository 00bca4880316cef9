"""Why: data that is retained goes to the credential that was proved, no longer to the one that was merely bound last.

Released once, never changed. Revision 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = "0001"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite knows no comments
        op.alter_column(
            "bots",
            "credential_digest",
            existing_type=sa.String(length=64),
            existing_nullable=True,
            comment="the credential that was proved last, until then the first; retained data asks for it",
            existing_comment="the credential that was last bound; retained data asks for it",
        )
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

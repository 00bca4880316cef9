"""Why: ${message}

Released once, never changed. Revision ${up_revision}, after ${down_revision | comma,n}.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

# The oldest revision whose programs can use the schema that this one leaves.
compatible_from = ${repr(up_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
    op.execute(sa.text("update installation set compatible_from = :oldest").bindparams(oldest=compatible_from))


def downgrade() -> None:
    raise NotImplementedError("the schema goes forward only: restore a backup instead")

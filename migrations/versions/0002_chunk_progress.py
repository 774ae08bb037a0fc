"""Chunks say how far they are"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    progress = sa.Column("progress", sa.Float(), server_default="0", nullable=False)
    op.add_column("job_chunk", progress)


def downgrade() -> None:
    op.drop_column("job_chunk", "progress")

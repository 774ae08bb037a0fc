"""Files of exported models are removed like those of other exports"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAME = "ix_job_with_files"
KINDS = ("import", "export")


def upgrade() -> None:
    _index(*KINDS, "export_model")


def downgrade() -> None:
    _index(*KINDS)


def _index(*kinds: str) -> None:
    op.drop_index(NAME, "job")
    named = ", ".join(f"'{kind}'" for kind in kinds)
    where = sa.text(f"files_removed_at IS NULL AND kind IN ({named})")
    op.create_index(NAME, "job", ["finished_at"], postgresql_where=where)

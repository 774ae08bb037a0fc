"""The KPIs ask for the line of a photo, and for what has waited longest"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_image_project_id_line_id",
        "image",
        ["project_id", "line", "id"],
        postgresql_where=sa.text("line IS NOT NULL"),
    )
    op.create_index(
        "ix_pseudo_label_waiting",
        "pseudo_label",
        ["project_id", "created_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )


def downgrade() -> None:
    op.drop_index("ix_pseudo_label_waiting", "pseudo_label")
    op.drop_index("ix_image_project_id_line_id", "image")

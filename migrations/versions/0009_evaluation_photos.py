"""The newest photos to measure with are found without reading all photos"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TO_MEASURE_WITH = sa.text("split = 'evaluation' AND deleted_at IS NULL")


def upgrade() -> None:
    op.create_index(
        "ix_image_evaluation", "image", ["project_id", "id"], postgresql_where=TO_MEASURE_WITH
    )


def downgrade() -> None:
    op.drop_index("ix_image_evaluation", "image")

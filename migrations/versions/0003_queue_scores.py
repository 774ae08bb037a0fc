"""Scores for the review queue, and suggestions that have a heat map"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# How far the least clear label is from even odds; without labels nothing is unclear.
FILL_MARGINS = """
UPDATE prediction SET margin = coalesce(
    (SELECT min(abs(probability - 0.5)) FROM unnest(probabilities) AS probability), 0.5)
"""


def upgrade() -> None:
    op.add_column("prediction", sa.Column("margin", sa.Float()))
    op.execute(FILL_MARGINS)
    op.alter_column("prediction", "margin", nullable=False)
    op.add_column("prediction", sa.Column("novelty", sa.Float()))
    has_heat_map = sa.Column(
        "has_heat_map", sa.Boolean(), server_default=sa.false(), nullable=False
    )
    op.add_column("pseudo_label", has_heat_map)


def downgrade() -> None:
    op.drop_column("pseudo_label", "has_heat_map")
    op.drop_column("prediction", "novelty")
    op.drop_column("prediction", "margin")

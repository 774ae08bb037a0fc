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


# Scores of the live version stand on the image too, as its uncertainty does: one index an order.
WAITING = sa.text("state = 'ready' AND reviewed_at IS NULL AND deleted_at IS NULL")
QUEUES = {"margin": sa.text("margin"), "novelty": sa.text("novelty DESC NULLS LAST")}
COPY_MARGINS = """
UPDATE image SET margin = prediction.margin FROM prediction
JOIN model_version ON model_version.id = prediction.model_version_id
    AND model_version.state = 'live'
WHERE prediction.image_id = image.id
"""


def upgrade() -> None:
    op.add_column("prediction", sa.Column("margin", sa.Float()))
    op.execute(FILL_MARGINS)
    op.alter_column("prediction", "margin", nullable=False)
    op.add_column("prediction", sa.Column("novelty", sa.Float()))
    for score, order in QUEUES.items():
        op.add_column("image", sa.Column(score, sa.Float()))
        op.create_index(
            f"ix_image_{score}_queue",
            "image",
            ["project_id", order, "id"],
            postgresql_where=WAITING,
        )
    op.execute(COPY_MARGINS)
    has_heat_map = sa.Column(
        "has_heat_map", sa.Boolean(), server_default=sa.false(), nullable=False
    )
    op.add_column("pseudo_label", has_heat_map)


def downgrade() -> None:
    op.drop_column("pseudo_label", "has_heat_map")
    for score in QUEUES:
        op.drop_index(f"ix_image_{score}_queue", "image")
        op.drop_column("image", score)
    op.drop_column("prediction", "novelty")
    op.drop_column("prediction", "margin")

"""Embeddings of photos and of texts, and bursts of photos that look alike"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The workers fill in the rest, photo by photo.
EXPECT_EMBEDDINGS = """
INSERT INTO image_embedding (image_id, project_id)
SELECT id, project_id FROM image WHERE state = 'ready' AND deleted_at IS NULL
"""


def upgrade() -> None:
    _create_extension()
    op.create_table(
        "image_embedding",
        sa.Column("image_id", sa.Uuid(), sa.ForeignKey("image.id"), primary_key=True),
        sa.Column("project_id", sa.Uuid(), sa.ForeignKey("project.id"), nullable=False),
        sa.Column("backbone", sa.String(), nullable=False, server_default=""),
        sa.Column("weights", sa.String(), nullable=False, server_default=""),
        sa.Column("embedding", ARRAY(sa.REAL())),
    )
    op.create_index(
        "ix_image_embedding_project_id_backbone", "image_embedding", ["project_id", "backbone"]
    )
    op.execute(EXPECT_EMBEDDINGS)
    op.create_table(
        "text_embedding",
        sa.Column("backbone", sa.String(), primary_key=True),
        sa.Column("text", sa.String(), primary_key=True),
        sa.Column("weights", sa.String(), nullable=False, server_default=""),
        sa.Column("embedding", ARRAY(sa.REAL())),
        sa.Column("problem", sa.String()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("image", sa.Column("burst_id", sa.Uuid()))
    op.create_index(
        "ix_image_burst",
        "image",
        ["burst_id", "id"],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_image_without_burst",
        "image",
        ["id"],
        postgresql_where=sa.text(
            "burst_id IS NULL AND perceptual_hash IS NOT NULL AND deleted_at IS NULL"
        ),
    )


def downgrade() -> None:
    """The extension stays: other databases' users of it would not thank us for dropping theirs."""
    op.drop_index("ix_image_without_burst", "image")
    op.drop_index("ix_image_burst", "image")
    op.drop_column("image", "burst_id")
    op.drop_table("text_embedding")
    op.drop_table("image_embedding")


def _create_extension() -> None:
    """Only a superuser may, and only where the server has it. Without it searching is off, and
    `kizu doctor` says how to turn it on; nothing else needs it."""
    try:
        with op.get_bind().begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except DBAPIError:
        return

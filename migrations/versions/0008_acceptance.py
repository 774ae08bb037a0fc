"""Confident suggestions are accepted without a person, under contracts and audits"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

RUNNING = sa.text("ended_at IS NULL")
AUTO_ACCEPTED = sa.text("state = 'auto_accepted'")
UNDER_CONTRACT = sa.text("contract_id IS NOT NULL")
CLEARED = sa.text("cleared_at IS NOT NULL")
OF_AUDITS = sa.text("arm = 'audit'")


def upgrade() -> None:
    op.create_table(
        "acceptance_contract",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("label_id", sa.Uuid(), nullable=False),
        sa.Column("allowed_error", sa.Float(), nullable=False),
        sa.Column("applied_to_id", sa.Uuid(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end", sa.String(), nullable=True),
        sa.Column("breached_by_id", sa.Uuid(), nullable=True),
        sa.Column("takes_back", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(
            ["label_id"], ["label.id"], name=op.f("fk_acceptance_contract_label_id_label")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_acceptance_contract_project_id_project")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acceptance_contract")),
    )
    op.create_index(
        "uq_acceptance_contract_running",
        "acceptance_contract",
        ["label_id"],
        unique=True,
        postgresql_where=RUNNING,
    )
    op.create_index(
        "ix_acceptance_contract_project_id", "acceptance_contract", ["project_id", "created_at"]
    )
    op.add_column("pseudo_label", sa.Column("contract_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_pseudo_label_contract_id_acceptance_contract"),
        "pseudo_label",
        "acceptance_contract",
        ["contract_id"],
        ["id"],
    )
    op.create_index(
        "ix_pseudo_label_contract",
        "pseudo_label",
        ["contract_id", "state", "model_version_id"],
        postgresql_where=UNDER_CONTRACT,
    )
    op.create_index(
        "ix_pseudo_label_auto_accepted",
        "pseudo_label",
        ["image_id"],
        postgresql_where=AUTO_ACCEPTED,
    )
    op.add_column("image", sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_image_cleared", "image", ["project_id", "cleared_at", "line"], postgresql_where=CLEARED
    )
    op.create_index(
        "ix_decision_audit", "decision", ["project_id", "id"], postgresql_where=OF_AUDITS
    )


def downgrade() -> None:
    op.drop_index("ix_decision_audit", "decision")
    op.drop_index("ix_image_cleared", "image")
    op.drop_column("image", "cleared_at")
    op.drop_index("ix_pseudo_label_auto_accepted", "pseudo_label")
    op.drop_index("ix_pseudo_label_contract", "pseudo_label")
    op.drop_column("pseudo_label", "contract_id")
    op.drop_table("acceptance_contract")

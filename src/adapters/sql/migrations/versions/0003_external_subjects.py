"""Accounts of the subjects of another issuer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "external_subjects",
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("external_subjects")

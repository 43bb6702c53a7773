"""Placed orders, and a secret of the storage."""

import os

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_INDEXED = (
    ["owner_id", "placed_at", "id"],
    ["owner_id", "status", "placed_at", "id"],
    ["id", "owner_id"],
)


def upgrade() -> None:
    op.add_column("orders", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    for columns in _INDEXED:
        op.create_index(f"ix_orders_{'_'.join(columns)}", "orders", columns)
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "key"),
        sa.ForeignKeyConstraint(
            ["owner_id", "order_id"],
            ["orders.owner_id", "orders.id"],
            name="fk_idempotency_keys_order",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])
    secrets = op.create_table(
        "secrets",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.LargeBinary(32), nullable=False),
    )
    op.bulk_insert(secrets, [{"name": "storage", "value": os.urandom(32)}])


def downgrade() -> None:
    op.drop_table("secrets")
    op.drop_table("idempotency_keys")
    for columns in _INDEXED:
        op.drop_index(f"ix_orders_{'_'.join(columns)}", "orders")
    op.drop_column("orders", "version")

"""Users, orders and their lines."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", _row_id, primary_key=True),
        sa.Column("username", sa.String(64), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "orders",
        sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "id"),
        sa.CheckConstraint("id > 0", name="ck_orders_id"),
        sa.CheckConstraint(
            "status IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled')",
            name="ck_orders_status",
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "order_lines",
        sa.Column("owner_id", sa.BigInteger, nullable=False),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("unit_price", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "order_id", "position"),
        sa.ForeignKeyConstraint(
            ["owner_id", "order_id"], ["orders.owner_id", "orders.id"], name="fk_order_lines_order"
        ),
        sa.CheckConstraint("quantity BETWEEN 1 AND 1000000", name="ck_order_lines_quantity"),
        sa.CheckConstraint(
            "unit_price BETWEEN 0 AND 9223372036854775807", name="ck_order_lines_unit_price"
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("order_lines")
    op.drop_table("orders")
    op.drop_table("users")

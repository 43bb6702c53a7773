"""The tables of users, sessions and orders.

The owner leads every key of the order tables, so a statement without the owner has no index to use.
Money is in minor units. An order has one currency, beside its lines.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Dialect, ForeignKeyConstraint, Index, Integer
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from ordergate.application.ports.users import MAX_SUBJECT_LENGTH
from ordergate.domain.money import MAX_MINOR
from ordergate.domain.order import MAX_NAME_LENGTH, MAX_QUANTITY, MAX_SKU_LENGTH, OrderStatus
from ordergate.domain.user import MAX_USERNAME_LENGTH

# SQLite counts rows in a column that is declared INTEGER to the letter; its integers have 64 bits.
_RowId = BigInteger().with_variant(Integer(), "sqlite")


class StoredTime(UTCDateTime):
    """A time in UTC. An invalid value in SQLite is returned unchanged.

    An error would fail all rows of a statement because of one.
    """

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Convert valid times."""
        convert = super().result_processor(dialect, coltype)

        def read(value: object) -> object:
            try:
                return convert(value) if convert else value
            except (TypeError, ValueError):
                return value

        return read


_STATUSES = ", ".join(f"'{status}'" for status in OrderStatus)


class Table(SQLModel, registry=registry()):
    """The base of the tables, apart from those of an adopter."""


class UserRow(Table, table=True):
    """An account. AUTOINCREMENT never assigns an id twice.

    The row of a closed account stays for its orders; its name becomes `CLOSED` and its id. The name
    of an external subject's account is `EXTERNAL` and a random UUID. Users cannot type either,
    because user names have no spaces.
    """

    __tablename__ = "users"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True, sa_type=_RowId)
    username: str = Field(max_length=MAX_USERNAME_LENGTH, unique=True)
    password_hash: str = Field(max_length=255)


CLOSED = " closed "
EXTERNAL = " external "
NO_HASH = ""
"""The hash of closed and external accounts, which matches no password."""


class SessionRow(Table, table=True):
    """A session; ended ones stay as evidence.

    `site` is the network of its address.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user_id_site", "user_id", "site"),
        Index("ix_sessions_expires_at", "expires_at"),
    )

    id: str = Field(primary_key=True, max_length=32)
    user_id: int = Field(foreign_key="users.id", sa_type=BigInteger)
    client_id: str = Field(max_length=255)
    address: str = Field(max_length=64)
    site: str = Field(max_length=64)
    scope: str = Field(max_length=255)
    started_at: datetime = Field(sa_type=StoredTime)
    last_used_at: datetime = Field(sa_type=StoredTime)
    expires_at: datetime = Field(sa_type=StoredTime)
    ended_at: datetime | None = Field(sa_type=StoredTime)
    ending: str | None = Field(max_length=32)


class RefreshTokenRow(Table, table=True):
    """A refresh token by its digest; used ones stay to detect reuse."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        Index("ix_refresh_tokens_session_id", "session_id"),
        {"sqlite_with_rowid": False},
    )

    digest: bytes = Field(primary_key=True, max_length=32)
    session_id: str = Field(foreign_key="sessions.id", max_length=32)
    expires_at: datetime = Field(sa_type=StoredTime)
    used_at: datetime | None = Field(sa_type=StoredTime)
    sealed_successor: bytes | None = Field(max_length=32)


class ExternalSubjectRow(Table, table=True):
    """The account of an external `subject`."""

    __tablename__ = "external_subjects"
    __table_args__ = {"sqlite_with_rowid": False}

    issuer: str = Field(max_length=MAX_SUBJECT_LENGTH, primary_key=True)
    subject: str = Field(max_length=MAX_SUBJECT_LENGTH, primary_key=True)
    user_id: int = Field(foreign_key="users.id", sa_type=BigInteger)


PAGE_INDEX = "ix_orders_owner_id_placed_at_id"
STATUS_PAGE_INDEX = "ix_orders_owner_id_status_placed_at_id"


class OrderRow(Table, table=True):
    """An order. Lists use the owner's indexes; staff search by id only."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("id > 0", name="ck_orders_id"),
        CheckConstraint(f"status IN ({_STATUSES})", name="ck_orders_status"),
        Index(PAGE_INDEX, "owner_id", "placed_at", "id"),
        Index(STATUS_PAGE_INDEX, "owner_id", "status", "placed_at", "id"),
        Index("ix_orders_id_owner_id", "id", "owner_id"),
        {"sqlite_with_rowid": False},
    )

    owner_id: int = Field(primary_key=True, foreign_key="users.id", sa_type=BigInteger)
    id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    status: str = Field(max_length=16)
    placed_at: datetime = Field(sa_type=StoredTime)
    currency: str = Field(max_length=3)
    version: int = Field(sa_column_kwargs={"server_default": "1"})


class OrderLineRow(Table, table=True):
    """A line of an order, at a `position` from 0."""

    __tablename__ = "order_lines"
    __table_args__ = (
        ForeignKeyConstraint(
            ["owner_id", "order_id"], ["orders.owner_id", "orders.id"], name="fk_order_lines_order"
        ),
        CheckConstraint(f"quantity BETWEEN 1 AND {MAX_QUANTITY}", name="ck_order_lines_quantity"),
        CheckConstraint(f"unit_price BETWEEN 0 AND {MAX_MINOR}", name="ck_order_lines_unit_price"),
        {"sqlite_with_rowid": False},
    )

    owner_id: int = Field(primary_key=True, sa_type=BigInteger)
    order_id: int = Field(primary_key=True, sa_type=BigInteger)
    position: int = Field(primary_key=True)
    sku: str = Field(max_length=MAX_SKU_LENGTH)
    name: str = Field(max_length=MAX_NAME_LENGTH)
    quantity: int
    unit_price: int = Field(sa_type=BigInteger)


class IdempotencyKeyRow(Table, table=True):
    """The order of an owner's key, until it expires."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        ForeignKeyConstraint(
            ["owner_id", "order_id"],
            ["orders.owner_id", "orders.id"],
            name="fk_idempotency_keys_order",
        ),
        Index("ix_idempotency_keys_expires_at", "expires_at"),
        {"sqlite_with_rowid": False},
    )

    owner_id: int = Field(primary_key=True, sa_type=BigInteger)
    key: str = Field(primary_key=True, max_length=255)
    order_id: int = Field(sa_type=BigInteger)
    expires_at: datetime = Field(sa_type=StoredTime)


class CopyRow(Table, table=True):
    """The progress of a copy into this database.

    There is one row until the copy is finished.
    """

    __tablename__ = "copies"

    source: str = Field(primary_key=True, max_length=64)
    kind: str = Field(max_length=32)
    after: str = Field(max_length=1024)


class SecretRow(Table, table=True):
    """Random values that all processes share; the migration draws them."""

    __tablename__ = "secrets"

    name: str = Field(primary_key=True, max_length=32)
    value: bytes = Field(max_length=32)


STORAGE_SECRET = "storage"

"""Orders in the style of tutorials: two tables, a relationship, wire models."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, ForeignKey
from sqlmodel import Field, Relationship, SQLModel

from bench.apps import sample


class Order(SQLModel, table=True):
    __tablename__ = "orders"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    owner_id: int = Field(index=True)
    status: str = "placed"
    placed_at: datetime
    currency: str
    lines: list["OrderLine"] = Relationship(
        back_populates="order", sa_relationship_kwargs={"lazy": "selectin"}
    )


class OrderLine(SQLModel, table=True):
    __tablename__ = "order_lines"

    id: int | None = Field(default=None, primary_key=True)
    order_id: int | None = Field(
        default=None, sa_column=Column(BigInteger, ForeignKey("orders.id"), index=True)
    )
    sku: str
    name: str
    quantity: int
    unit_price: str
    order: Order | None = Relationship(back_populates="lines")


class LineBody(BaseModel):
    sku: str
    name: str
    quantity: int
    unit_price: str


class NewOrder(BaseModel):
    currency: str
    lines: list[LineBody]


class OrderBody(BaseModel):
    id: int
    status: str
    placed_at: datetime
    currency: str
    total: str
    lines: list[LineBody]


class Page(BaseModel):
    items: list[OrderBody]


def order_to_body(order: Order) -> OrderBody:
    total = sum((Decimal(line.unit_price) * line.quantity for line in order.lines), Decimal())
    return OrderBody(
        id=order.id or 0,
        status=order.status,
        placed_at=order.placed_at,
        currency=order.currency,
        total=str(total),
        lines=[LineBody.model_validate(line, from_attributes=True) for line in order.lines],
    )


def make_order(wish: NewOrder, owner: int) -> Order:
    return Order(
        id=2**52 + secrets.randbelow(2**52),
        owner_id=owner,
        placed_at=datetime.now(UTC),
        currency=wish.currency,
        lines=[OrderLine(**line.model_dump()) for line in wish.lines],
    )


def seeded() -> Iterator[Order]:
    for order in sample.orders():
        fields: dict[str, Any] = dict(order)
        fields["lines"] = [OrderLine(**line) for line in order["lines"]]
        yield Order(**fields)

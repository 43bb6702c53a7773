"""`GET /order?id=` and `GET /orders/{id}`: one's own orders."""

import re
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from application.errors import OrderNotFound
from domain.order import Order, OrderId, OrderStatus
from domain.user import MAX_ID
from entrypoints.http.dependencies import GetOwnOrderCase, OrderReader, strict_query
from entrypoints.http.errors import invalid_parameter
from entrypoints.http.openapi import problems

router = APIRouter(tags=["orders"], dependencies=[strict_query])

_RULE = f"must be a whole number from 1 to {MAX_ID}"
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}")
_MONEY = Field(pattern=r"^(0|[1-9][0-9]*)(\.[0-9]{1,4})?$", examples=["64.00"])


def _order_id(text: str) -> int:
    """Accept an id as it is written: no sign, space, leading zero or fraction."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_ID:
        raise PydanticCustomError("order_id", _RULE)
    return int(text)


_Id = Annotated[
    int,
    Field(ge=1, le=MAX_ID, description="The order's id.", examples=[1]),
    BeforeValidator(_order_id),
]


class OrderLineOut(BaseModel):
    """A line of an order."""

    model_config = ConfigDict(title="OrderLine")

    sku: str = Field(examples=["POT-CAST-IRON"])
    name: str = Field(examples=["Cast-iron teapot"])
    quantity: int = Field(ge=1, examples=[1])
    unit_price: Annotated[str, _MONEY]


class OrderOut(BaseModel):
    """An order. Amounts are decimal strings in `currency`, exact to its last digit."""

    model_config = ConfigDict(title="Order")

    id: int = Field(ge=1, le=MAX_ID, examples=[1])
    status: OrderStatus
    placed_at: datetime = Field(description="RFC 3339, UTC.", examples=["2026-01-01T09:00:01Z"])
    currency: str = Field(description="ISO 4217.", examples=["EUR"])
    total: Annotated[str, _MONEY]
    lines: list[OrderLineOut]

    @classmethod
    def of(cls, order: Order) -> Self:
        """Write an order for the wire."""
        return cls(
            id=order.id,
            status=order.status,
            placed_at=order.placed_at,
            currency=order.currency,
            total=str(order.total),
            lines=[
                OrderLineOut(
                    sku=line.sku,
                    name=line.name,
                    quantity=line.quantity,
                    unit_price=str(line.unit_price),
                )
                for line in order.lines
            ],
        )


@router.get(
    "/orders/{id}",
    name="read_order",
    summary="Read one of your orders",
    responses=problems(OrderNotFound, invalid_parameter(("path", "id", _RULE))),
)
async def read_order(
    id: Annotated[_Id, Path()],
    user: OrderReader,
    get_own_order: GetOwnOrderCase,
) -> OrderOut:
    """Return an order of yours. Somebody else's is not found, like one that does not exist."""
    order = await get_own_order(OrderId(id), owner=user.id)
    return OrderOut.of(order)


@router.get(
    "/order",
    name="read_order_by_query",
    summary="Read one of your orders, by query",
    responses=problems(OrderNotFound, invalid_parameter(("query", "id", _RULE))),
)
async def read_order_by_query(
    id: Annotated[_Id, Query()],
    user: OrderReader,
    get_own_order: GetOwnOrderCase,
) -> OrderOut:
    """Return the same as `GET /orders/{id}`."""
    return await read_order(id, user, get_own_order)

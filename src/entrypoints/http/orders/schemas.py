"""Orders in responses, as JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from ordergate.domain.order import Order, OrderStatus
from ordergate.domain.user import MAX_ID

_MONEY = Field(
    description="A decimal; `minor units: 6400` in a currency whose digits are unknown here.",
    pattern=r"^(minor units: )?-?(0|[1-9][0-9]*)(\.[0-9]{1,4})?$",
    examples=["64.00"],
)


# Dataclasses, because a model would validate what the domain has made; a page has many of them.


@dataclass(slots=True)
class OrderLineOut:
    """A line of an order."""

    __pydantic_config__ = ConfigDict(title="OrderLine")

    sku: Annotated[str, Field(examples=["POT-CAST-IRON"])]
    name: Annotated[str, Field(examples=["Cast-iron teapot"])]
    quantity: Annotated[int, Field(examples=[1])]
    unit_price: Annotated[str, _MONEY]


@dataclass(slots=True)
class OrderOut:
    """An order. Amounts are decimal strings with the decimal places of `currency`."""

    __pydantic_config__ = ConfigDict(title="Order")

    id: Annotated[int, Field(ge=1, le=MAX_ID, examples=[1])]
    status: Annotated[
        str,
        Field(
            description=f"{', '.join(OrderStatus)}; another version may have stored another.",
            examples=["placed"],
        ),
    ]
    placed_at: Annotated[
        datetime, Field(description="RFC 3339, UTC.", examples=["2026-01-01T09:00:01Z"])
    ]
    currency: Annotated[str, Field(description="ISO 4217.", examples=["EUR"])]
    total: Annotated[str, _MONEY]
    lines: list[OrderLineOut]

    @classmethod
    def from_domain(cls, order: Order) -> Self:
        """Convert an order."""
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


@dataclass(slots=True)
class OrderPageOut:
    """A page of your orders, newest first."""

    __pydantic_config__ = ConfigDict(title="OrderPage")

    orders: list[OrderOut]
    next_cursor: Annotated[
        str | None,
        Field(description="The `cursor` of the next page; `null` on the last.", examples=[None]),
    ]

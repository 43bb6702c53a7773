"""Orders in responses, as JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field
from typing_extensions import TypeAliasType

from ordergate.domain import order as domain
from ordergate.domain.money import MINOR_DIGITS
from ordergate.domain.user import MAX_ID
from ordergate.entrypoints.http.openapi.responses import INT64, with_example

Currency = TypeAliasType(
    "Currency",
    Annotated[
        str, Field(description="A code of ISO 4217.", json_schema_extra={"enum": [*MINOR_DIGITS]})
    ],
)
"""A schema of its own in the OpenAPI document, and in clients a type of its own."""

_Quantity = Annotated[
    int,
    Field(
        description="The number of pieces.",
        json_schema_extra={"minimum": 1, "maximum": domain.MAX_QUANTITY},
    ),
]
_Money = Annotated[
    str,
    Field(
        description="A decimal; `minor units: 6400` in a currency whose digits are unknown here.",
        pattern=r"^(minor units: )?-?(0|[1-9][0-9]*)(\.[0-9]{1,4})?$",
    ),
]

EXAMPLE_LINE: dict[str, Any] = {
    "sku": "POT-CAST-IRON",
    "name": "Cast-iron teapot",
    "quantity": 1,
    "unit_price": "64.00",
}
EXAMPLE_ORDER: dict[str, Any] = {
    "id": 1,
    "status": "paid",
    "placed_at": "2026-01-01T09:00:01Z",
    "currency": "EUR",
    "total": "64.00",
    "lines": [EXAMPLE_LINE],
}


# Dataclasses, because a model would validate what the domain has made; a page has many of them.


@dataclass(slots=True)
class OrderLine:
    """A line of an order."""

    sku: Annotated[str, Field(description="The code of the product.")]
    name: Annotated[str, Field(description="The name of the product.")]
    quantity: _Quantity
    unit_price: _Money


@dataclass(slots=True)
class Order:
    """An order. Amounts are decimal strings with the decimal places of `currency`."""

    __pydantic_config__ = with_example(**EXAMPLE_ORDER)

    id: Annotated[
        int,
        Field(ge=1, le=MAX_ID, description="The id of the order.", json_schema_extra=INT64),
    ]
    status: Annotated[
        str,
        Field(
            description=f"{', '.join(domain.OrderStatus)}; another version may have stored another."
        ),
    ]
    placed_at: Annotated[datetime, Field(description="RFC 3339, UTC.")]
    currency: Currency
    total: _Money
    lines: Annotated[list[OrderLine], Field(description="The lines, as they were placed.")]

    @classmethod
    def from_domain(cls, order: domain.Order) -> Self:
        """Convert an order."""
        return cls(
            id=order.id,
            status=order.status,
            placed_at=order.placed_at,
            currency=order.currency,
            total=str(order.total),
            lines=[
                OrderLine(
                    sku=line.sku,
                    name=line.name,
                    quantity=line.quantity,
                    unit_price=str(line.unit_price),
                )
                for line in order.lines
            ],
        )


@dataclass(slots=True)
class OrderPage:
    """A page of your orders, newest first."""

    __pydantic_config__ = with_example(orders=[EXAMPLE_ORDER], next_cursor="AQ…")

    orders: Annotated[list[Order], Field(description="The orders of the page.")]
    next_cursor: Annotated[
        str | None, Field(description="The `cursor` of the next page; `null` on the last.")
    ]

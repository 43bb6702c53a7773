"""Orders as JSON, and the parameters of their routes."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from ordergate.domain.errors import DomainError
from ordergate.domain.money import MINOR_DIGITS, Money
from ordergate.domain.order import (
    MAX_LINES,
    MAX_NAME_LENGTH,
    MAX_QUANTITY,
    MAX_SKU_LENGTH,
    Order,
    OrderLine,
    OrderStatus,
)
from ordergate.domain.user import MAX_ID
from ordergate.entrypoints.http.problems.catalog import MAX_FLAWS
from ordergate.entrypoints.http.problems.problem import ProblemError, invalid_parameter

MAX_LIMIT = 200
ID_RULE = f"must be a whole number from 1 to {MAX_ID}"
_LIMIT_RULE = f"must be a whole number from 1 to {MAX_LIMIT}"
_TIME_RULE = (
    "must be a time of RFC 3339 with its zone and at most six digits of a second, such as"
    " 2026-01-01T09:00:00Z; write + as %2B"
)
_PRICE = re.compile(r"(0|[1-9][0-9]{0,18})(\.[0-9]{1,4})?")
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


# Parameters


def _order_id(text: str) -> int:
    """Accept an id in plain digits: no sign, space, leading zero or fraction."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_ID:
        raise PydanticCustomError("order_id", ID_RULE)
    return int(text)


def _limit(text: str | int) -> int:
    if not _DECIMAL.fullmatch(str(text)) or int(text) > MAX_LIMIT:
        raise PydanticCustomError("limit", _LIMIT_RULE)
    return int(text)


def _time(text: str) -> datetime:
    """Accept an instant whose year in UTC is from 1 to 9999."""
    with suppress(ValueError, OverflowError):
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    raise PydanticCustomError("time", _TIME_RULE)


def _status(text: str) -> OrderStatus:
    with suppress(ValueError):
        return OrderStatus(text)
    raise PydanticCustomError("status", f"must be one of {', '.join(OrderStatus)}")


InStatus = Annotated[
    OrderStatus | SkipJsonSchema[None],
    BeforeValidator(_status),
    Query(description="Only orders with this status."),
]

_Id = Annotated[
    int,
    Field(ge=1, le=MAX_ID, description="The order's id.", examples=[1]),
    BeforeValidator(_order_id),
]
IdInPath = Annotated[_Id, Path()]
IdInQuery = Annotated[_Id, Query()]

Limit = Annotated[
    int,
    Field(ge=1, le=MAX_LIMIT, description="The most orders of one page."),
    BeforeValidator(_limit),
    Query(),
]
_Time = Annotated[
    datetime | SkipJsonSchema[None],
    BeforeValidator(_time),
]
PlacedFrom = Annotated[
    _Time,
    Query(
        description="Only orders placed at this time or later.", examples=["2026-01-01T00:00:00Z"]
    ),
]
PlacedBefore = Annotated[
    _Time,
    Query(description="Only orders placed before this time.", examples=["2027-01-01T00:00:00Z"]),
]


# Answers

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
    def of(cls, order: Order) -> Self:
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


# Bodies


def _currency(code: str) -> str:
    if code not in MINOR_DIGITS:
        raise PydanticCustomError("currency", "must be a code of ISO 4217, such as EUR")
    return code


def _price(text: str) -> str:
    if not _PRICE.fullmatch(text):
        raise PydanticCustomError("price", "must be a plain decimal such as 64.00")
    return text


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OrderLineIn(_Body):
    """A line of a new order."""

    model_config = ConfigDict(title="NewOrderLine")

    sku: str = Field(
        min_length=1,
        max_length=MAX_SKU_LENGTH,
        description="Printable characters.",
        examples=["POT-CAST-IRON"],
    )
    name: str = Field(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        description="As people write it: no control characters, no line breaks.",
        examples=["Cast-iron teapot"],
    )
    quantity: int = Field(ge=1, le=MAX_QUANTITY, examples=[1])
    unit_price: Annotated[
        str,
        AfterValidator(_price),
        Field(
            description="At most as many decimal places as the currency has.",
            json_schema_extra={"pattern": f"^{_PRICE.pattern}$"},
            examples=["64.00"],
        ),
    ]


class OrderIn(_Body):
    """A new order."""

    model_config = ConfigDict(title="NewOrder")

    currency: Annotated[
        str,
        AfterValidator(_currency),
        Field(
            description="ISO 4217, for every line.",
            json_schema_extra={"enum": sorted(MINOR_DIGITS)},
            examples=["EUR"],
        ),
    ]
    lines: list[OrderLineIn] = Field(min_length=1, max_length=MAX_LINES)

    def order_lines(self) -> tuple[OrderLine, ...]:
        """Convert the lines. Raises a problem 422 that names the invalid ones."""
        made, flaws = [], []
        for number, line in enumerate(self.lines):
            try:
                price = Money.parse(line.unit_price, self.currency)
                made.append(OrderLine.new(line.sku, line.name, line.quantity, price))
            except DomainError as error:
                flaws.append(("body", f"lines.{number}", str(error)))
        if flaws:
            raise ProblemError(invalid_parameter(*flaws[:MAX_FLAWS]))
        return tuple(made)

"""The body of a new order, and its conversion to order lines."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ordergate.domain.errors import DomainError
from ordergate.domain.money import MINOR_DIGITS, Money
from ordergate.domain.order import (
    MAX_LINES,
    MAX_NAME_LENGTH,
    MAX_QUANTITY,
    MAX_SKU_LENGTH,
    OrderLine,
)
from ordergate.entrypoints.http.openapi.responses import with_example
from ordergate.entrypoints.http.orders.schemas import EXAMPLE_LINE, Currency
from ordergate.entrypoints.http.problems.catalog import MAX_FLAWS
from ordergate.entrypoints.http.problems.problem import ProblemError, invalid_parameter
from ordergate.entrypoints.http.requests.strict_json import StrictBody

_PRICE = re.compile(r"(0|[1-9][0-9]{0,18})(\.[0-9]{1,4})?")


def _check_currency(code: str) -> str:
    if code not in MINOR_DIGITS:
        raise PydanticCustomError("currency", "must be a code of ISO 4217, such as EUR")
    return code


def _check_price(text: str) -> str:
    if not _PRICE.fullmatch(text):
        raise PydanticCustomError("price", "must be a plain decimal such as 64.00")
    return text


class NewOrderLine(StrictBody):
    """A line of a new order."""

    sku: str = Field(min_length=1, max_length=MAX_SKU_LENGTH, description="Printable characters.")
    name: str = Field(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        description="Text without control characters and line breaks.",
    )
    quantity: int = Field(ge=1, le=MAX_QUANTITY, description="The number of pieces.")
    unit_price: Annotated[
        str,
        AfterValidator(_check_price),
        Field(
            description="At most as many decimal places as the currency has.",
            json_schema_extra={"pattern": f"^{_PRICE.pattern}$"},
        ),
    ]


class NewOrder(StrictBody):
    """A new order, in one currency."""

    model_config = with_example(currency="EUR", lines=[EXAMPLE_LINE])

    currency: Annotated[Currency, AfterValidator(_check_currency)]
    lines: list[NewOrderLine] = Field(
        min_length=1, max_length=MAX_LINES, description="The products and their quantities."
    )


def to_order_lines(new: NewOrder) -> tuple[OrderLine, ...]:
    """Convert the lines. Raises a problem 422 that names the invalid ones."""
    made, flaws = [], []
    for number, line in enumerate(new.lines):
        try:
            price = Money.parse(line.unit_price, new.currency)
            made.append(OrderLine.new(line.sku, line.name, line.quantity, price))
        except DomainError as error:
            flaws.append(("body", f"lines.{number}", str(error)))
    if flaws:
        raise ProblemError(invalid_parameter(*flaws[:MAX_FLAWS]))
    return tuple(made)

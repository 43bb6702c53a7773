"""The parameters of order routes, in the path and the query."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from ordergate.domain.order import OrderStatus
from ordergate.domain.user import MAX_ID
from ordergate.entrypoints.http.openapi.responses import INT64

MAX_LIMIT = 200
ID_RULE = f"must be a whole number from 1 to {MAX_ID}"
_LIMIT_RULE = f"must be a whole number from 1 to {MAX_LIMIT}"
_TIME_RULE = (
    "must be a time of RFC 3339 with its zone and at most six digits of a second, such as"
    " 2026-01-01T09:00:00Z; write + as %2B"
)
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


def _read_order_id(text: str) -> int:
    """Accept an id in plain digits.

    It has no sign, space, leading zero or fraction.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_ID:
        raise PydanticCustomError("order_id", ID_RULE)
    return int(text)


def _read_limit(text: str | int) -> int:
    if not _DECIMAL.fullmatch(str(text)) or int(text) > MAX_LIMIT:
        raise PydanticCustomError("limit", _LIMIT_RULE)
    return int(text)


def _read_time(text: str) -> datetime:
    """Accept an instant whose year in UTC is from 1 to 9999."""
    with suppress(ValueError, OverflowError):
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    raise PydanticCustomError("time", _TIME_RULE)


def _read_status(text: str) -> OrderStatus:
    with suppress(ValueError):
        return OrderStatus(text)
    raise PydanticCustomError("status", f"must be one of {', '.join(OrderStatus)}")


InStatus = Annotated[
    OrderStatus | SkipJsonSchema[None],
    BeforeValidator(_read_status),
    Query(description="Only orders with this status.", examples=[OrderStatus.PLACED.value]),
]

_Id = Annotated[
    int,
    Field(
        ge=1,
        le=MAX_ID,
        description="The order's id.",
        examples=[1],
        json_schema_extra=INT64,
    ),
    BeforeValidator(_read_order_id),
]
IdInPath = Annotated[_Id, Path()]
IdInQuery = Annotated[_Id, Query()]

Limit = Annotated[
    int,
    Field(ge=1, le=MAX_LIMIT, description="The maximum number of orders in a page."),
    BeforeValidator(_read_limit),
    Query(),
]
_Time = Annotated[
    datetime | SkipJsonSchema[None],
    BeforeValidator(_read_time),
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

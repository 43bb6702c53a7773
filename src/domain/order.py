"""Orders, their lines, and the rules for new ones.

`OrderLine.new` and `Order.place` check new values. The constructors check nothing, because another
release of this program, or of Unicode, may have checked a stored order by other rules.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType, Self

from ordergate.domain.characters import describe_first_flaw, find_forbidden, find_unprintable
from ordergate.domain.errors import InvalidOrder, InvalidTransition
from ordergate.domain.money import Money
from ordergate.domain.user import MAX_ID, UserId

OrderId = NewType("OrderId", int)
"""The id of an order, 1 to `MAX_ID`. It is unique for one owner only."""

MAX_LINES = 100
MAX_QUANTITY = 1_000_000
MAX_SKU_LENGTH = 64
MAX_NAME_LENGTH = 200
MAX_VERSION = 2**31 - 1


class OrderStatus(StrEnum):
    """The status of an order."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[str, tuple[OrderStatus, ...]] = {
    OrderStatus.PLACED: (OrderStatus.PAID, OrderStatus.CANCELLED),
    OrderStatus.PAID: (OrderStatus.SHIPPED, OrderStatus.CANCELLED),
    OrderStatus.SHIPPED: (OrderStatus.DELIVERED,),
    OrderStatus.DELIVERED: (),
    OrderStatus.CANCELLED: (),
}
"""Each status → the statuses that may follow it."""

FINAL_STATUSES = frozenset(status for status, following in TRANSITIONS.items() if not following)
"""Statuses that nothing follows. An order in any other status, even an unknown one, is open."""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """`quantity` pieces of the product `sku` at `unit_price` each."""

    sku: str
    name: str
    quantity: int
    unit_price: Money

    @classmethod
    def new(cls, sku: str, name: str, quantity: int, unit_price: Money) -> Self:
        """Check and create a line of a new order.

        The SKU has 1 to `MAX_SKU_LENGTH` printable characters. The name has 1 to `MAX_NAME_LENGTH`
        characters without control, private-use and surrogate characters. The quantity is 1 to
        `MAX_QUANTITY`. Raises `InvalidOrder`.
        """
        _check_text("A SKU", sku, MAX_SKU_LENGTH, find_unprintable)
        _check_text("A product's name", name, MAX_NAME_LENGTH, find_forbidden)
        if not 0 < quantity <= MAX_QUANTITY:
            raise InvalidOrder(f"A quantity must be from 1 to {MAX_QUANTITY}.")
        return cls(sku, name, quantity, unit_price)


def _check_text(
    what: str, text: str, longest: int, refused_at: Callable[[str], int | None]
) -> None:
    if not 0 < len(text) <= longest:
        raise InvalidOrder(f"{what} must have 1 to {longest} characters.")
    if flaw := describe_first_flaw(text, refused_at):
        raise InvalidOrder(f"{what} {flaw}.")


@dataclass(frozen=True, slots=True)
class Order:
    """An order of one or more lines in one currency.

    `owner` placed it at `placed_at` (UTC). Only `status` and `version` change. `status` is a value
    of `OrderStatus`, or a value that another release wrote. `version` starts at 1 and increases by
    1 with each change of the status.
    """

    id: OrderId
    owner: UserId
    status: str
    placed_at: datetime
    lines: tuple[OrderLine, ...]
    version: int = 1

    @classmethod
    def place(
        cls, id: OrderId, owner: UserId, placed_at: datetime, lines: tuple[OrderLine, ...]
    ) -> Self:
        """Check and create a new order with 1 to `MAX_LINES` lines.

        Raises `InvalidOrder`, and `InvalidMoney` when the total cannot be stored.
        """
        if not (0 < id <= MAX_ID and 0 < owner <= MAX_ID):
            raise InvalidOrder("The ids of an order and its owner must be from 1 to 2^63-1.")
        if not 0 < len(lines) <= MAX_LINES:
            raise InvalidOrder(f"An order must have 1 to {MAX_LINES} lines.")
        if placed_at.utcoffset() != timedelta(0):
            raise InvalidOrder("The time of an order must be in UTC.")
        if len({line.unit_price.currency for line in lines}) > 1:
            raise InvalidOrder("All lines of an order must be in one currency.")
        order = cls(id, owner, OrderStatus.PLACED, placed_at, lines)
        order.total.require_storable()
        return order

    @property
    def currency(self) -> str:
        """The ISO 4217 code of the currency of all lines."""
        return self.lines[0].unit_price.currency

    @property
    def total(self) -> Money:
        """The price of all lines."""
        minor = sum([line.unit_price.minor * line.quantity for line in self.lines])
        return Money(minor, self.currency)

    @property
    def is_open(self) -> bool:
        """Whether the status may still change."""
        return self.status not in FINAL_STATUSES

    @property
    def as_placed(self) -> "Order":
        """A copy of an order with the status `placed` and version 1."""
        if self.status == OrderStatus.PLACED and self.version == 1:
            return self
        return replace(self, status=OrderStatus.PLACED, version=1)

    def transition_to(self, status: OrderStatus) -> "Order":
        """Return a copy with a new status and the next version.

        Raises `InvalidTransition` if `TRANSITIONS` does not allow it or `MAX_VERSION` is reached.
        """
        following = TRANSITIONS.get(self.status)
        if following is None:
            raise InvalidTransition(
                f"The order has the status {self.status!r}, which this release does not know;"
                " use the release that wrote it to change the order."
            )
        if status not in following:
            if not following:
                raise InvalidTransition(f"The order is {self.status}, which is a final status.")
            raise InvalidTransition(
                f"The order is {self.status}; it may become {' or '.join(following)}, not {status}."
            )
        if self.version >= MAX_VERSION:
            raise InvalidTransition(f"The order has version {MAX_VERSION}, which is the maximum.")
        return replace(self, status=status, version=self.version + 1)

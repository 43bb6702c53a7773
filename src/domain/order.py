"""An order, its lines, and the rules both keep."""

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from domain.errors import InvalidOrder, InvalidStep
from domain.money import Money
from domain.user import MAX_ID, UserId

OrderId = NewType("OrderId", int)
"""Identity of an order among its owner's: 1 to `MAX_ID`."""

_BITS = 52


def new_order_id() -> OrderId:
    """Draw the id of an order that is placed: a random number from 2^52 up to 2^53.

    It tells nothing about other orders, and JavaScript reads it exactly (RFC 8259, section 6).
    """
    return OrderId(2**_BITS + secrets.randbits(_BITS))


MAX_LINES = 100
MAX_QUANTITY = 1_000_000
MAX_SKU_LENGTH = 64
MAX_NAME_LENGTH = 200
MAX_VERSION = 2**31 - 1


class OrderStatus(StrEnum):
    """Where an order is in its life: placed, paid, shipped, delivered; or cancelled before that."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether something is still to happen."""
        return bool(STEPS[self])


STEPS = {
    OrderStatus.PLACED: (OrderStatus.PAID, OrderStatus.CANCELLED),
    OrderStatus.PAID: (OrderStatus.SHIPPED, OrderStatus.CANCELLED),
    OrderStatus.SHIPPED: (OrderStatus.DELIVERED,),
    OrderStatus.DELIVERED: (),
    OrderStatus.CANCELLED: (),
}
"""The life of an order: each status, and those that may follow it."""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """`quantity` pieces (1 to `MAX_QUANTITY`) of the product `sku`, each at `unit_price`.

    Raises `InvalidOrder` when a rule is broken. SKU and name are text of 1 to `MAX_SKU_LENGTH` and
    1 to `MAX_NAME_LENGTH` printable characters.
    """

    sku: str
    name: str
    quantity: int
    unit_price: Money

    def __post_init__(self) -> None:
        if not (0 < len(self.sku) <= MAX_SKU_LENGTH and self.sku.isprintable()):
            raise InvalidOrder(f"A SKU has 1 to {MAX_SKU_LENGTH} printable characters.")
        if not (0 < len(self.name) <= MAX_NAME_LENGTH and self.name.isprintable()):
            raise InvalidOrder(f"A product's name has 1 to {MAX_NAME_LENGTH} printable characters.")
        if not 0 < self.quantity <= MAX_QUANTITY:
            raise InvalidOrder(f"A quantity is 1 to {MAX_QUANTITY}.")


@dataclass(frozen=True, slots=True)
class Order:
    """What `owner` ordered at `placed_at` (UTC): 1 to `MAX_LINES` lines in one currency.

    Its status alone changes; `version` is 1 when it is placed, and one more with each change.
    Raises `InvalidOrder` when a rule is broken, `InvalidMoney` when the total cannot be expressed.
    """

    id: OrderId
    owner: UserId
    status: OrderStatus
    placed_at: datetime
    lines: tuple[OrderLine, ...]
    version: int = 1
    total: Money = field(init=False, repr=False, compare=False)
    """The price of all lines together."""

    def __post_init__(self) -> None:
        if not (0 < self.id <= MAX_ID and 0 < self.owner <= MAX_ID):
            raise InvalidOrder("The ids of an order and of its owner are 1 to 2^63-1.")
        if not 0 < self.version <= MAX_VERSION:
            raise InvalidOrder(f"The version of an order is 1 to {MAX_VERSION}.")
        if not 0 < len(self.lines) <= MAX_LINES:
            raise InvalidOrder(f"An order has 1 to {MAX_LINES} lines.")
        if self.placed_at.utcoffset() != timedelta(0):
            raise InvalidOrder("The time an order was placed at is in UTC.")
        if len({line.unit_price.currency for line in self.lines}) > 1:
            raise InvalidOrder("All lines of an order are in one currency.")
        minor = sum([line.unit_price.minor * line.quantity for line in self.lines])
        object.__setattr__(self, "total", Money(minor, self.currency))

    @property
    def currency(self) -> str:
        """ISO 4217 code of the currency of every line."""
        return self.lines[0].unit_price.currency

    @property
    def as_placed(self) -> "Order":
        """The order as it was when it was placed."""
        if self.status is OrderStatus.PLACED and self.version == 1:
            return self
        return replace(self, status=OrderStatus.PLACED, version=1)

    def advanced_to(self, status: OrderStatus) -> "Order":
        """Take a step of its life. Raises `InvalidStep` for one that cannot follow."""
        if status not in STEPS[self.status]:
            following = " or ".join(STEPS[self.status])
            may = f"it may become {following}, not {status}" if following else "that is its end"
            raise InvalidStep(f"The order is {self.status}: {may}.")
        return replace(self, status=status, version=self.version + 1)

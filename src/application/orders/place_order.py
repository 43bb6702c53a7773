"""Place an order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from ordergate.application.concurrency_limit import ConcurrencyLimit, make_write_limit
from ordergate.application.errors import IdempotencyKeyReused, InvalidToken, OrderIdTaken
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.orders import IdempotencyKey, OrderRepository
from ordergate.application.random_numbers import draw_128_bits
from ordergate.domain.order import Order, OrderId, OrderLine
from ordergate.domain.user import UserId

ID_ATTEMPTS = 3
"""How many ids are tried. A collision is one in many millions of orders."""

_BITS = 52


def draw_order_id() -> OrderId:
    """Draw a random id from 2^52 to 2^53 - 1.

    The id reveals nothing about other orders, and JavaScript reads it exactly (RFC 8259, section
    6).
    """
    return OrderId(2**_BITS + draw_128_bits() % 2**_BITS)


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Store a new order and return it as it was placed.

    The same lines with the same `key`, within `key_life`, return the same order, even if it has
    changed since.

    Raises:
        IdempotencyKeyReused: the key belongs to an order with other lines.
        InvalidOrder, InvalidMoney: a rule is broken.
        InvalidToken: the account is closed.
        OrderIdTaken: no free id was found.
        TooManyRequests: the owner exceeds `concurrency_limit`.
    """

    orders: OrderRepository
    clock: Clock
    key_life: timedelta
    new_id: Callable[[], OrderId] = draw_order_id
    concurrency_limit: ConcurrencyLimit = field(default_factory=make_write_limit)

    async def __call__(
        self, lines: tuple[OrderLine, ...], *, owner: UserId, key: str | None = None
    ) -> Order:
        now = self.clock.now()
        once = IdempotencyKey(key, now + self.key_life) if key is not None else None
        for _ in range(ID_ATTEMPTS):
            order = Order.place(self.new_id(), owner, now, lines)
            try:
                async with self.concurrency_limit.acquire(owner):
                    stored = await self.orders.add(order, owner=owner, key=once)
            except OrderIdTaken:
                continue
            if stored is None:
                raise InvalidToken("its account is closed")
            if stored.lines != lines:
                raise IdempotencyKeyReused
            return stored.as_placed
        raise OrderIdTaken

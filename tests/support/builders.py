"""Values for tests: one of each, and strategies that make any."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from ordergate.domain.money import MINOR_DIGITS, Money
from ordergate.domain.order import (
    MAX_NAME_LENGTH,
    MAX_QUANTITY,
    MAX_SKU_LENGTH,
    MAX_VERSION,
    Order,
    OrderId,
    OrderLine,
    OrderStatus,
)
from ordergate.domain.user import MAX_ID, PasswordHash, User, UserId, Username

ALICE = User(UserId(1), Username("alice"), PasswordHash("alice's hash"))
BOB = User(UserId(2), Username("bob"), PasswordHash("bob's hash"))

TEAPOT = OrderLine("POT-1", "Teapot, 1 l", 1, Money.parse("64.00", "EUR"))
CUPS = OrderLine("CUP-2", "Cup", 4, Money.parse("12.50", "EUR"))


def an_order(
    order_id: int = 7, owner: int = 1, lines: tuple[OrderLine, ...] = (TEAPOT, CUPS)
) -> Order:
    return Order(
        id=OrderId(order_id),
        owner=UserId(owner),
        status=OrderStatus.PAID,
        placed_at=datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC),
        lines=lines,
    )


_printable = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
currencies = st.sampled_from(sorted(MINOR_DIGITS))


@st.composite
def orders(draw: st.DrawFn, owner: int = 1) -> Order:
    """Any order of that owner that the domain allows."""
    currency = draw(currencies)
    lines = st.builds(
        OrderLine,
        sku=st.text(_printable, min_size=1, max_size=MAX_SKU_LENGTH),
        name=st.text(_printable, min_size=1, max_size=MAX_NAME_LENGTH),
        quantity=st.integers(1, MAX_QUANTITY),
        unit_price=st.builds(Money, st.integers(0, 10**10), st.just(currency)),
    )
    return Order(
        id=OrderId(draw(st.integers(1, MAX_ID))),
        owner=UserId(owner),
        status=draw(st.sampled_from(OrderStatus)),
        placed_at=draw(st.datetimes(timezones=st.just(UTC))),
        lines=tuple(draw(st.lists(lines, min_size=1, max_size=5))),
        version=draw(st.integers(1, MAX_VERSION)),
    )

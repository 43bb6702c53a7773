"""Build domain values for tests, one by one or by Hypothesis."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from ordergate.application.ports.archive import RefreshTokenRecord
from ordergate.application.ports.orders import IdempotencyKey
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
from ordergate.domain.refresh_token import TokenDigest
from ordergate.domain.scope import Scope
from ordergate.domain.session import Session, SessionId
from ordergate.domain.user import MAX_ID, PasswordHash, User, UserId, Username

AT = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
FIRST_INSTANT = datetime.min.replace(tzinfo=UTC)

HASH = PasswordHash("alice's hash")
ALICE = User(UserId(1), Username("alice"), HASH)
BOB = User(UserId(2), Username("bob"), PasswordHash("bob's hash"))

ADDRESS = "2001:db8::1"
SEALED = b"s" * 32

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


def a_token(number: int, session: Session, used_at: datetime | None = None) -> RefreshTokenRecord:
    return RefreshTokenRecord(
        digest(number),
        session.id,
        session.expires_at,
        used_at,
        SEALED if used_at else None,
    )


def digest(number: int) -> TokenDigest:
    return TokenDigest(number.to_bytes(32))


def a_session(number: int = 1, user: int = 1) -> Session:
    return Session(
        id=SessionId(f"{number:032x}"),
        user=UserId(user),
        client_id="shop",
        address=ADDRESS,
        scope=frozenset({Scope.ACCOUNT, Scope.ORDERS_READ}),
        started_at=AT,
        last_used_at=AT,
        expires_at=AT + timedelta(days=30),
    )


def a_key(value: str, at: datetime = AT) -> IdempotencyKey:
    return IdempotencyKey(value, at + timedelta(days=1))


def bobs_order(order_id: int, at: datetime = AT) -> Order:
    order = replace(an_order(order_id, owner=BOB.id), status=OrderStatus.PLACED)
    return replace(order, placed_at=at)


def ship(order: Order) -> Order:
    return order.transition_to(OrderStatus.SHIPPED)


def a_placed_order(order_id: int = 11, at: datetime = AT) -> Order:
    return Order(OrderId(order_id), ALICE.id, OrderStatus.PLACED, at, (TEAPOT,))

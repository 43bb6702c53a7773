from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given

from domain.errors import DomainError, InvalidMoney, InvalidOrder, InvalidStep
from domain.money import MAX_MINOR, Money
from domain.order import (
    MAX_LINES,
    STEPS,
    Order,
    OrderId,
    OrderLine,
    OrderStatus,
    new_order_id,
)
from domain.user import MAX_ID, UserId
from tests.samples import CUPS, TEAPOT, an_order, orders


def test_the_total_is_that_of_all_lines() -> None:
    assert an_order(lines=(TEAPOT, CUPS)).total == Money.parse("114.00", "EUR")


def test_an_order_is_in_the_currency_of_its_lines() -> None:
    assert an_order().currency == "EUR"


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001])
def test_a_quantity_has_bounds(quantity: int) -> None:
    with pytest.raises(InvalidOrder, match="quantity"):
        replace(CUPS, quantity=quantity)


@pytest.mark.parametrize("text", ["", "a\nb", "a\0", "\ud800", "x" * 201])
def test_sku_and_name_are_printable_and_bounded(text: str) -> None:
    with pytest.raises(InvalidOrder, match="SKU"):
        replace(CUPS, sku=text)
    with pytest.raises(InvalidOrder, match="name"):
        replace(CUPS, name=text)


@pytest.mark.parametrize("lines", [(), (CUPS,) * (MAX_LINES + 1)], ids=len)
def test_an_order_has_some_lines_and_not_too_many(lines: tuple[OrderLine, ...]) -> None:
    with pytest.raises(InvalidOrder, match="lines"):
        an_order(lines=lines)


def test_lines_in_two_currencies_are_refused() -> None:
    in_yen = replace(CUPS, unit_price=Money(1250, "JPY"))
    with pytest.raises(InvalidOrder, match="one currency"):
        an_order(lines=(TEAPOT, in_yen))


def test_a_total_that_cannot_be_expressed_is_refused() -> None:
    dear = replace(TEAPOT, unit_price=Money(MAX_MINOR, "EUR"))
    with pytest.raises(InvalidMoney):
        an_order(lines=(dear, dear))


@pytest.mark.parametrize(
    "placed_at",
    [
        datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_an_order_is_placed_at_a_time_in_utc(placed_at: datetime) -> None:
    with pytest.raises(InvalidOrder, match="UTC"):
        replace(an_order(), placed_at=placed_at)


@pytest.mark.parametrize("number", [0, -1, MAX_ID + 1])
def test_ids_have_bounds(number: int) -> None:
    with pytest.raises(InvalidOrder, match="ids"):
        replace(an_order(), id=OrderId(number))
    with pytest.raises(InvalidOrder, match="ids"):
        replace(an_order(), owner=UserId(number))


@given(orders())
def test_any_order_has_a_total_of_its_lines(order: Order) -> None:
    assert order.total.minor == sum(line.quantity * line.unit_price.minor for line in order.lines)
    assert order.total.currency == order.currency


def test_broken_rules_are_value_errors_with_a_message() -> None:
    for kind in DomainError.__subclasses__():
        assert issubclass(kind, ValueError)
        assert kind.__doc__


@pytest.mark.parametrize("status", OrderStatus)
def test_an_order_takes_the_steps_of_its_life_and_no_others(status: OrderStatus) -> None:
    order = replace(an_order(), status=status, version=3)
    for following in OrderStatus:
        if following in STEPS[status]:
            advanced = order.advanced_to(following)
            assert advanced == replace(order, status=following, version=4)
            assert advanced.as_placed == replace(order, status=OrderStatus.PLACED, version=1)
        else:
            with pytest.raises(InvalidStep):
                order.advanced_to(following)


def test_every_life_ends() -> None:
    lives = [[OrderStatus.PLACED]]
    ended = []
    while lives:
        life = lives.pop()
        ended += [] if life[-1].is_open else [life[-1]]
        lives += [[*life, following] for following in STEPS[life[-1]]]
    assert set(ended) == {OrderStatus.DELIVERED, OrderStatus.CANCELLED}
    assert {status for status in OrderStatus if not status.is_open} == set(ended)


@pytest.mark.parametrize("version", [0, -1, 2**31])
def test_a_version_is_a_count(version: int) -> None:
    with pytest.raises(InvalidOrder, match="version"):
        replace(an_order(), version=version)


def test_drawn_ids_are_exact_in_javascript_and_tell_nothing() -> None:
    ids = {new_order_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(2**52 <= order_id < 2**53 for order_id in ids)

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given

from domain.errors import DomainError, InvalidMoney, InvalidOrder
from domain.money import MAX_MINOR, Money
from domain.order import MAX_LINES, Order, OrderId, OrderLine
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
        datetime(2026, 1, 1),  # noqa: DTZ001 - a time without a zone is what is refused
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

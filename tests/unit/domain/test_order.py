from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.domain.errors import DomainError, InvalidMoney, InvalidOrder, InvalidTransition
from ordergate.domain.money import MAX_MINOR, Money
from ordergate.domain.order import (
    FINAL_STATUSES,
    MAX_LINES,
    MAX_NAME_LENGTH,
    MAX_VERSION,
    TRANSITIONS,
    Order,
    OrderId,
    OrderLine,
    OrderStatus,
)
from ordergate.domain.user import MAX_ID, UserId
from tests.support.builders import CUPS, TEAPOT, an_order, orders

AT = datetime(2026, 1, 1, 9, tzinfo=UTC)


def test_total_is_that_of_all_lines() -> None:
    assert an_order(lines=(TEAPOT, CUPS)).total == Money.parse("114.00", "EUR")


def test_order_is_in_the_currency_of_its_lines() -> None:
    assert an_order().currency == "EUR"


def a_line(sku: str = "CUP-2", name: str = "Cup", quantity: int = 4) -> OrderLine:
    return OrderLine.new(sku, name, quantity, CUPS.unit_price)


def new_order(
    order_id: int = 7,
    owner: int = 1,
    placed_at: datetime = AT,
    lines: tuple[OrderLine, ...] = (TEAPOT, CUPS),
) -> Order:
    return Order.place(OrderId(order_id), UserId(owner), placed_at, lines)


def test_new_order_is_placed_in_its_first_version() -> None:
    assert a_line() == CUPS
    assert new_order() == Order(OrderId(7), UserId(1), OrderStatus.PLACED, AT, (TEAPOT, CUPS), 1)


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001])
def test_quantity_is_limited(quantity: int) -> None:
    with pytest.raises(InvalidOrder, match="quantity"):
        a_line(quantity=quantity)


@pytest.mark.parametrize("text", ["", "a\nb", "a\0", "\ud800", "x" * 201])
def test_sku_and_name_have_bounds_and_no_controls(text: str) -> None:
    with pytest.raises(InvalidOrder, match="SKU"):
        a_line(sku=text)
    with pytest.raises(InvalidOrder, match="name"):
        a_line(name=text)


@pytest.mark.parametrize(
    "name",
    [
        "Th\u00e9 noir\u00a0: 100\u202fg",  # French
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, joined by ZWNJ
        "\u0915\u094d\u200d\u0937",  # Hindi, joined by ZWJ
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",  # Sinhala
        "\u200f\u05ea\u05d4 (100 \u05d2\u05f3)\u200e",  # Hebrew with marks of direction
        "\u202b\u0634\u0627\u06cc\u202c",  # Arabic letters in an embedding that is closed
        "\u2068Tea\u2069 \u2067\u05ea\u05d4\u2069",
        "\u8336\u3000\u767e\u514b",  # ideographic space
        "\U0001f469\U0001f3fd\u200d\U0001f373 apron",  # joined emoji
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # a flag
        "\u2615\ufe0f mug",
        "\U0001fae8",  # an emoji of Unicode 15
        "\U0001fadc",  # added in Unicode 16
        "soft\u00adware",
        "  a  b  ",
    ],
)
def test_product_name_accepts_every_script(name: str) -> None:
    assert a_line(name=name).name == name


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("a\tb", r"has U\+0009 (a control character) at position 2"),
        ("\x85", r"has U\+0085 (a control character) at position 1"),
        ("tea\u2028", r"has U\+2028 (LINE SEPARATOR) at position 4"),
        ("tea\u2029", r"has U\+2029 (PARAGRAPH SEPARATOR) at position 4"),
        ("\U0001f375\uf8ff", r"has U\+F8FF (a private-use character) at position 2"),
        ("\ud83c", r"has U\+D83C (a surrogate) at position 1"),
        ("\ufdd0", r"has U\+FDD0 (a character that is not assigned) at position 1"),
        ("a\U0010ffff", r"has U\+10FFFF"),
        (" ", "has no visible character"),
        ("\u00a0\u200d\u200f", "has no visible character"),
        ("a\u202eb", r"does not close U\+202E (RIGHT-TO-LEFT OVERRIDE) at position 2"),
        ("\u2067a\u202c", r"does not close U\+2067 (RIGHT-TO-LEFT ISOLATE) at position 1"),
        ("\u2066\u202aa\u2069\u202c", r"does not close U\+2066"),
        ("\u202aa\u202c" * 17, r"changes its direction more than 32 times"),
    ],
)
def test_refused_name_says_which_character_is_wrong(name: str, flaw: str) -> None:
    with pytest.raises(InvalidOrder) as refusal:
        a_line(name=name)
    assert str(refusal.value).startswith("A product's name " + flaw.replace("\\", ""))


@pytest.mark.parametrize("sku", ["a\u00a0b", "a\u200db", "\ue000", "\u0378", "  "])
def test_sku_has_printable_characters_alone(sku: str) -> None:
    with pytest.raises(InvalidOrder, match="SKU has"):
        a_line(sku=sku)


@given(st.text(st.characters(), max_size=MAX_NAME_LENGTH + 1))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        line = a_line(name=text)
    except InvalidOrder as refusal:
        assert str(refusal).startswith("A product's name ")
    else:
        assert line.name == text
        assert text.encode()
        assert not {"Cc", "Cs", "Co", "Zl", "Zp"} & set(map(category, text))


@pytest.mark.parametrize("lines", [(), (CUPS,) * (MAX_LINES + 1)], ids=len)
def test_number_of_lines_is_limited(lines: tuple[OrderLine, ...]) -> None:
    with pytest.raises(InvalidOrder, match="lines"):
        new_order(lines=lines)


def test_lines_in_two_currencies_are_refused() -> None:
    in_yen = replace(CUPS, unit_price=Money(1250, "JPY"))
    with pytest.raises(InvalidOrder, match="one currency"):
        new_order(lines=(TEAPOT, in_yen))


def test_total_that_cannot_be_stored_is_refused() -> None:
    dear = replace(TEAPOT, unit_price=Money(MAX_MINOR, "EUR"))
    with pytest.raises(InvalidMoney):
        new_order(lines=(dear, dear))


@pytest.mark.parametrize(
    "placed_at",
    [
        datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_order_is_placed_at_a_time_in_utc(placed_at: datetime) -> None:
    with pytest.raises(InvalidOrder, match="UTC"):
        new_order(placed_at=placed_at)


@pytest.mark.parametrize("number", [0, -1, MAX_ID + 1])
def test_ids_are_limited(number: int) -> None:
    with pytest.raises(InvalidOrder, match="ids"):
        new_order(order_id=number)
    with pytest.raises(InvalidOrder, match="ids"):
        new_order(owner=number)


@given(orders())
def test_any_order_has_a_total_of_its_lines(order: Order) -> None:
    assert order.total.minor == sum(line.quantity * line.unit_price.minor for line in order.lines)
    assert order.total.currency == order.currency


def test_broken_rules_are_value_errors_with_a_message() -> None:
    for kind in DomainError.__subclasses__():
        assert issubclass(kind, ValueError)
        assert kind.__doc__


@pytest.mark.parametrize("status", OrderStatus)
def test_order_accepts_only_valid_transitions(status: OrderStatus) -> None:
    order = replace(an_order(), status=status, version=3)
    for following in OrderStatus:
        if following in TRANSITIONS[status]:
            advanced = order.transition_to(following)
            assert advanced == replace(order, status=following, version=4)
            assert advanced.as_placed == replace(order, status=OrderStatus.PLACED, version=1)
        else:
            with pytest.raises(InvalidTransition):
                order.transition_to(following)


def test_every_status_leads_to_a_final_one() -> None:
    lives = [[OrderStatus.PLACED]]
    ended = []
    while lives:
        life = lives.pop()
        ended += [] if replace(an_order(), status=life[-1]).is_open else [life[-1]]
        lives += [[*life, following] for following in TRANSITIONS[life[-1]]]
    assert set(ended) == {OrderStatus.DELIVERED, OrderStatus.CANCELLED}
    assert set(ended) == FINAL_STATUSES


def test_order_in_the_last_version_accepts_no_transition() -> None:
    with pytest.raises(InvalidTransition, match="which is the maximum"):
        replace(an_order(), version=MAX_VERSION).transition_to(OrderStatus.SHIPPED)


@pytest.mark.parametrize("status", OrderStatus)
def test_order_in_an_unknown_status_is_open_and_accepts_no_transition(status: OrderStatus) -> None:
    order = replace(an_order(), status="returned")
    assert order.is_open
    with pytest.raises(InvalidTransition, match="'returned', which this release does not know"):
        order.transition_to(status)
    assert order.as_placed == replace(an_order(), status=OrderStatus.PLACED)

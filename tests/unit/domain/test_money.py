from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.domain.errors import InvalidMoney
from ordergate.domain.money import MAX_MINOR, MINOR_DIGITS, WITHDRAWN_DIGITS, Money
from tests.support.builders import currencies

amounts = st.builds(Money, st.integers(0, MAX_MINOR), currencies)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "EUR", 1250),
        ("12.5", "EUR", 1250),
        ("12", "EUR", 1200),
        ("0", "EUR", 0),
        ("0.01", "USD", 1),
        ("1250", "JPY", 1250),
        ("12.5", "KWD", 12500),
        ("1.2345", "CLF", 12345),
        ("92233720368547758.07", "EUR", MAX_MINOR),
    ],
)
def test_decimal_is_read_exactly(text: str, currency: str, minor: int) -> None:
    assert Money.parse(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1250, "EUR"), "12.50"),
        (Money(5, "EUR"), "0.05"),
        (Money(0, "EUR"), "0.00"),
        (Money(1250, "JPY"), "1250"),
        (Money(1, "KWD"), "0.001"),
        (Money(MAX_MINOR, "EUR"), "92233720368547758.07"),
        (Money(-105, "EUR"), "-1.05"),
        (Money(-5, "JPY"), "-5"),
        (Money(1234 * 10**19, "EUR"), "123400000000000000000.00"),
        (Money(1250, "BGN"), "12.50"),
        (Money(1250, "BYR"), "1250"),
    ],
)
def test_amount_is_written_with_the_digits_of_its_currency(money: Money, text: str) -> None:
    assert str(money) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1.",
        ".5",
        "1.234",
        "01",
        "1,5",
        "1e3",
        " 1",
        "1\n",
        "٣",
        "NaN",
        "1_0",
        "9" * 19,
    ],
)
def test_malformed_decimal_is_refused(text: str) -> None:
    with pytest.raises(InvalidMoney):
        Money.parse(text, "EUR")


def test_currency_without_cents_has_no_decimal_places() -> None:
    with pytest.raises(InvalidMoney, match="at most 0 decimal places"):
        Money.parse("1.0", "JPY")


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XXX", "E\0R"])
def test_currency_that_iso_4217_does_not_list_is_refused(currency: str) -> None:
    with pytest.raises(InvalidMoney):
        Money.parse("1", currency)


@pytest.mark.parametrize("minor", [-1, MAX_MINOR + 1])
def test_amount_out_of_bounds_is_refused(minor: int) -> None:
    with pytest.raises(InvalidMoney):
        Money(minor, "EUR").require_storable()


def test_amount_in_an_unknown_currency_is_refused() -> None:
    assert str(Money(1250, "XXZ")) == "minor units: 1250"


def test_withdrawn_currency_is_written_and_not_read() -> None:
    assert not WITHDRAWN_DIGITS.keys() & MINOR_DIGITS.keys()
    for currency in WITHDRAWN_DIGITS:
        with pytest.raises(InvalidMoney):
            Money.parse("1", currency)


def test_every_currency_has_three_capitals_and_few_digits() -> None:
    assert len(MINOR_DIGITS) > 150
    for code, digits in MINOR_DIGITS.items():
        assert len(code) == 3
        assert code.isascii()
        assert code.isupper()
        assert 0 <= digits <= 4


@given(amounts)
def test_written_amount_is_read_unchanged(money: Money) -> None:
    if money.minor < 10**18:
        assert Money.parse(str(money), money.currency) == money


@given(st.text(max_size=30), st.sampled_from(["EUR", "JPY", "XXX", ""]))
def test_any_text_is_money_or_refused(text: str, currency: str) -> None:
    try:
        money = Money.parse(text, currency)
    except InvalidMoney:
        return
    assert Decimal(str(money)) == Decimal(text)

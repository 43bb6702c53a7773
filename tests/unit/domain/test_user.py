import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.domain.errors import DomainError, InvalidPassword, InvalidUsername
from ordergate.domain.money import Money
from ordergate.domain.order import OrderLine
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.user import (
    MAX_PASSWORD_BYTES,
    MAX_USERNAME_LENGTH,
    Password,
    Username,
)
from tests.support.builders import ALICE

any_text = st.text(st.characters(), max_size=80)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "alice"),
        ("ＡＬＩＣＥ", "alice"),
        ("cafe\u0301", "CAF\u00c9"),
        ("ｶﾞ", "ガ"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_names_that_differ_by_case_width_or_composition_are_one(one: str, other: str) -> None:
    assert Username.new(one) == Username.new(other)


@pytest.mark.parametrize(
    "name",
    [
        "alice",
        "a",
        "o'neil@example.com",
        "наталия",
        "x" * 64,
        "user1",
        "אבג",
        "אב1",
        "ب٠٩",
        "ب۰۹",
        "שָׁ",
    ],
)
def test_name_in_its_prepared_form_stays_as_it_is(name: str) -> None:
    assert str(Username.new(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a\0",
        "a\n",
        "\ud800",
        "x" * 65,
        "x" * 10_000,
        "\u00ad",
        "a\u200bb",
        "½",
        "ﬁ",
        "🗝",
        "\u00a0",
        "אlice",
        "alice-א",
        "1א",
        "א-",
        "א1٢",
        "ب٠۰",
        "بa",
    ],
)
def test_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidUsername):
        Username.new(name)


@given(any_text)
def test_prepared_name_is_prepared_once(text: str) -> None:
    try:
        name = Username.new(text)
    except InvalidUsername:
        return
    assert Username.new(str(name)) == name
    assert 0 < len(str(name)) <= MAX_USERNAME_LENGTH


def test_password_is_composed_and_its_spaces_are_ascii() -> None:
    assert Password.new("cafe\u0301\u00a0au\u3000lait").secret == "caf\u00e9 au lait"


@pytest.mark.parametrize(
    "secret", ["x", " leading and trailing ", "x" * 4096, "é" * 2048, "👩‍💻", "Ａ"]
)
def test_password_is_otherwise_kept_as_it_is(secret: str) -> None:
    assert Password.new(secret).secret == secret


@pytest.mark.parametrize(
    "secret", ["", "a\0b", "a\nb", "\x7f", "\ud800", "\uffff", "x" * 4097, "é" * 2049, "x" * 10**6]
)
def test_invalid_password_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(InvalidPassword) as refusal:
        Password.new(secret)
    assert not secret or secret not in str(refusal.value)


@given(any_text)
def test_prepared_password_is_prepared_once(text: str) -> None:
    try:
        password = Password.new(text)
    except InvalidPassword:
        return
    assert Password.new(password.secret) == password == Password.guess(text)
    assert 0 < len(password.secret.encode()) <= MAX_PASSWORD_BYTES


def test_repr_does_not_contain_secrets() -> None:
    assert "hunter2" not in repr(Password("hunter2"))
    assert ALICE.password_hash not in repr(ALICE)


@pytest.mark.parametrize("unseen", ["\u034f", "\u0640", "\u115f", "\u180b", "\ufe0f", "\U000e0101"])
def test_name_with_invisible_letters_is_refused(unseen: str) -> None:
    with pytest.raises(InvalidUsername):
        Username.new(f"alice{unseen}")


@pytest.mark.parametrize(
    ("name", "character"),
    [
        ("a b", r"U\+0020 \(SPACE\) at position 2"),
        ("ab\0", r"U\+0000 \(a control character\) at position 3"),
        ("\u0378", r"U\+0378 \(a character that is not assigned\) at position 1"),
        ("\U0001f5dd", r"U\+1F5DD \(OLD KEY\) at position 1"),
    ],
)
def test_refused_name_says_which_character_is_wrong(name: str, character: str) -> None:
    with pytest.raises(InvalidUsername, match=character):
        Username.new(name)


@pytest.mark.parametrize("stored", ["alice", "Alice", "two words", "\U0001fae8", "a\u0378"])
def test_typed_name_is_looked_up_unchanged_first(stored: str) -> None:
    assert Username.list_spellings(stored)[0] == Username(stored)


@given(any_text)
def test_typed_name_is_looked_up_in_its_prepared_form(text: str) -> None:
    try:
        name = Username.new(text)
    except InvalidUsername:
        return
    assert name in Username.list_spellings(text)
    assert Username.list_spellings(text)[-1] == name


@pytest.mark.parametrize("text", ["", "a\0", "\ud800", "x" * 257])
def test_text_that_cannot_be_stored_has_no_spelling(text: str) -> None:
    assert Username.list_spellings(text) == ()


@pytest.mark.parametrize("secret", ["tea \u0378", "tab\t", "\uf8ff", "\U0001fadc newer than 3.13"])
def test_guess_is_not_held_to_the_rules_of_new_passwords(secret: str) -> None:
    assert Password.guess(secret) == Password(secret)


@pytest.mark.parametrize("secret", ["", "a\0b", "\ud800", "x" * 4097, "\u00e9" * 2049])
def test_invalid_password_text_is_not_a_guess(secret: str) -> None:
    with pytest.raises(InvalidPassword) as refusal:
        Password.guess(secret)
    assert not secret or secret not in str(refusal.value)


def test_refused_password_says_whether_a_character_is_too_new() -> None:
    with pytest.raises(InvalidPassword, match="is not in Unicode"):
        Password.new("tea \u0378")
    with pytest.raises(InvalidPassword, match="control characters"):
        Password.new("tea \t")


WORST = {
    "marks": "\u0300\u0316" * 2048,
    "marks on a letter": "e" + "\u0316" * 4095,
    "letters that decompose to marks": "\u0f73" * 4096,
    "marks after 30": ("e" + "\u0316\u0300" * 15) * 132,
    "letters": "a" * 4096,
    "repeated": "a" * 4095 + "b",
    "letters that grow": "\u0390" * 2048,
    "run": "".join(chr(0x1000 + i) for i in range(1365)),
}
"""Text of the largest size that is allowed, which was or would be slow."""


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest of five times."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        with suppress(DomainError):
            work()
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.mark.parametrize("text", WORST.values(), ids=WORST)
def test_largest_texts_take_little_time(text: str) -> None:
    """The bound is relative to this machine's time for each single character."""
    rules = PasswordRules(15, {"password"})
    unit = seconds(lambda: [unicodedata.combining(character) for character in "a" * 4096])
    entries: tuple[Callable[[str], object], ...] = (
        Username.new,
        Username.list_spellings,
        Password.new,
        Password.guess,
        lambda each: rules.check(Password(each), Username("alice")),
        lambda each: OrderLine.new(each[:64], each[:200], 1, Money(1, "EUR")),
    )
    for entry in entries:
        for given_text in (text, text[:256]):
            assert seconds(partial(entry, given_text)) < 25 * unit


def test_password_refuses_more_marks_on_a_letter_than_text_has() -> None:
    assert Password.new("e" + "\u0316" * 30 + "x" * 15).secret
    for refused in ("e" + "\u0316" * 31, "\u0f73" * 31):
        with pytest.raises(InvalidPassword, match="at most 30 marks on one letter"):
            Password.new(refused)
    assert Username.list_spellings("e" + "\u0316" * 31) == ()
    with pytest.raises(InvalidUsername, match="at most 30 marks on one letter"):
        Username.new("e" + "\u0316" * 31)

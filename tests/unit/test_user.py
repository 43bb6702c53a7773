import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidPassword, InvalidUsername
from domain.user import MAX_PASSWORD_BYTES, MAX_USERNAME_LENGTH, Password, Username
from tests.samples import ALICE

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
    assert Username(one) == Username(other)


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
def test_a_name_in_its_prepared_form_stays_as_it_is(name: str) -> None:
    assert str(Username(name)) == name


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
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidUsername):
        Username(name)


@given(any_text)
def test_a_prepared_name_is_prepared_once(text: str) -> None:
    try:
        name = Username(text)
    except InvalidUsername:
        return
    assert Username(str(name)) == name
    assert 0 < len(str(name)) <= MAX_USERNAME_LENGTH


def test_a_password_is_composed_and_its_spaces_are_ascii() -> None:
    assert Password("cafe\u0301\u00a0au\u3000lait").secret == "caf\u00e9 au lait"


@pytest.mark.parametrize(
    "secret", ["x", " leading and trailing ", "x" * 4096, "é" * 2048, "👩‍💻", "Ａ"]
)
def test_a_password_is_otherwise_kept_as_it_is(secret: str) -> None:
    assert Password(secret).secret == secret


@pytest.mark.parametrize(
    "secret", ["", "a\0b", "a\nb", "\x7f", "\ud800", "\uffff", "x" * 4097, "é" * 2049, "x" * 10**6]
)
def test_what_cannot_be_a_password_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(InvalidPassword) as refusal:
        Password(secret)
    assert not secret or secret not in str(refusal.value)


@given(any_text)
def test_a_prepared_password_is_prepared_once(text: str) -> None:
    try:
        password = Password(text)
    except InvalidPassword:
        return
    assert Password(password.secret) == password
    assert 0 < len(password.secret.encode()) <= MAX_PASSWORD_BYTES


def test_secrets_are_in_no_repr() -> None:
    assert "hunter2" not in repr(Password("hunter2"))
    assert ALICE.password_hash not in repr(ALICE)


@pytest.mark.parametrize("unseen", ["\u034f", "\u0640", "\u115f", "\u180b", "\ufe0f", "\U000e0101"])
def test_a_name_has_no_letters_that_cannot_be_seen(unseen: str) -> None:
    with pytest.raises(InvalidUsername):
        Username(f"alice{unseen}")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.application.ports.passwords import (
    AccountKey,
    SessionKey,
    UnusableNameKey,
    make_sign_in_key,
)
from ordergate.domain.errors import InvalidUsername
from ordergate.domain.session import SessionId
from ordergate.domain.user import UserId, Username


@given(st.text(max_size=80))
def test_sign_in_key_is_the_name_that_the_account_would_have(text: str) -> None:
    try:
        name = Username.new(text)
    except InvalidUsername:
        return
    assert make_sign_in_key(text) == AccountKey(name.value)


def test_sign_in_key_is_the_same_for_spellings_with_unassigned_characters() -> None:
    assert len({make_sign_in_key(name) for name in ("a\u0378b", "A\u0378B", "\uff21\u0378b")}) == 1


@pytest.mark.parametrize("text", ["", "a\0", "\ud800", "x" * 257, "e" + "\u0316" * 31])
def test_sign_in_key_keeps_text_that_cannot_be_a_name(text: str) -> None:
    assert make_sign_in_key(text) == UnusableNameKey(text)


def test_keys_of_different_kinds_differ() -> None:
    keys = {
        AccountKey("1"),
        UnusableNameKey("1"),
        SessionKey(UserId(1), SessionId("1")),
        SessionKey(UserId(1), None),
    }
    assert len(keys) == 4

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.domain.refresh_token import RefreshToken

tokens = st.builds(RefreshToken, st.binary(min_size=32, max_size=32))


@given(token=tokens)
def test_token_is_read_from_its_text(token: RefreshToken) -> None:
    assert RefreshToken.parse(token.text) == token
    assert token.digest == hashlib.sha256(token.entropy).digest()


@given(text=st.one_of(st.text(), st.text("Az09_-", min_size=42, max_size=44).map("ogr_{}".format)))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    token = RefreshToken.parse(text)
    assert token is None or token.text == text


@pytest.mark.parametrize("text", ["", "ogr_", "ogr_" + "A" * 42 + "B", "ogr_" + "A" * 43 + "\n"])
def test_noncanonical_text_is_refused(text: str) -> None:
    assert RefreshToken.parse(text) is None


@given(old=tokens, new=tokens, other=tokens)
def test_successor_is_sealed_for_the_holder_of_the_old_token(
    old: RefreshToken, new: RefreshToken, other: RefreshToken
) -> None:
    sealed = old.seal(new)
    assert old.unseal(sealed) == new
    assert sealed != new.entropy
    assert other == old or other.unseal(sealed) != new


def test_tokens_are_random_and_hidden_in_repr() -> None:
    token = RefreshToken.new()
    assert len(token.entropy) == 32
    assert token != RefreshToken.new()
    assert token.text not in repr(token)
    assert repr(token.entropy) not in repr(token)

"""Consistency tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.entrypoints.http.middleware.consistency import ConsistencyTokens

TOKENS = ConsistencyTokens(b"the secret of a storage's tokens")
positions = st.integers(0, 2**96 - 1)


@given(positions)
def test_any_position_is_read_back(position: int) -> None:
    token = TOKENS.encode(position)
    assert len(token) == 36
    assert TOKENS.decode(token) == position


@given(positions)
def test_token_of_another_storage_is_unknown(position: int) -> None:
    assert ConsistencyTokens(b"another secret").decode(TOKENS.encode(position)) is None


@given(positions, st.integers(0, 35), st.sampled_from("Az09-_"))
def test_changed_token_is_unknown(position: int, place: int, character: str) -> None:
    token = TOKENS.encode(position)
    changed = token[:place] + character + token[place + 1 :]
    assert TOKENS.decode(changed) == (position if changed == token else None)


@pytest.mark.parametrize("text", ["", "0", "7", "None", "unknown", "A" * 35, "A" * 37, "=" * 36])
def test_other_text_is_unknown(text: str) -> None:
    assert TOKENS.decode(text) is None


def test_client_without_writes_needs_none() -> None:
    assert TOKENS.decode("none") == 0


def test_token_hides_how_many_writes_there_are() -> None:
    assert len({TOKENS.encode(position)[-8:] for position in range(100)}) == 100

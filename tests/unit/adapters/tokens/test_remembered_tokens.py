"""A verified token is cached, and refused as soon as any other."""

import tracemalloc
from datetime import timedelta
from typing import Any

import pytest

from ordergate.adapters.tokens import jwt_token_verifier
from ordergate.adapters.tokens.jwt_token_verifier import JwtTokenVerifier
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.errors import InvalidToken
from tests.support.doubles import SettableClock
from tests.support.tokens.access_tokens import CLAIMS, token
from tests.support.tokens.jose import SECRET

ANOTHER_KEY = SigningKey.from_secret("another secret, of more than thirty-two bytes")


class CountingVerifier(JwtTokenVerifier[dict[str, object]]):
    """Counts the signatures that are checked."""

    def __init__(self, clock: SettableClock) -> None:
        super().__init__(
            lambda claims: claims.members,
            clock=clock,
            issuer="https://orders.example",
            audiences=["orders"],
            leeway=timedelta(seconds=5),
        )
        self.checked = 0

    def _read(self, token: str, keys: KeySet, now: float) -> Any:
        self.checked += 1
        return super()._read(token, keys, now)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def verifier(clock: SettableClock) -> CountingVerifier:
    return CountingVerifier(clock)


@pytest.fixture
def keys() -> KeySet:
    return key_set()


def key_set() -> KeySet:
    return KeySet.from_keys([SigningKey.from_secret(SECRET.decode()).verifying()])


def test_signature_is_checked_once(verifier: CountingVerifier, keys: KeySet) -> None:
    for _ in range(3):
        assert verifier.verify(token(), keys) == CLAIMS
    assert verifier.checked == 1
    verifier.verify(token(jti="two"), keys)
    assert verifier.checked == 2


def test_remembered_token_expires(
    verifier: CountingVerifier, keys: KeySet, clock: SettableClock
) -> None:
    verifier.verify(token(), keys)
    clock.advance(seconds=904)
    verifier.verify(token(), keys)
    clock.advance(seconds=1)
    with pytest.raises(InvalidToken, match="exp has passed"):
        verifier.verify(token(), keys)


def test_remembered_token_is_refused_before_its_issue_time(
    verifier: CountingVerifier, keys: KeySet, clock: SettableClock
) -> None:
    verifier.verify(token(), keys)
    clock.advance(seconds=-6)
    with pytest.raises(InvalidToken, match="iat is in the future"):
        verifier.verify(token(), keys)


def test_cache_is_cleared_when_the_keys_change(verifier: CountingVerifier, keys: KeySet) -> None:
    verifier.verify(token(), keys)
    without = KeySet.from_keys([ANOTHER_KEY.verifying()])
    with pytest.raises(InvalidToken):
        verifier.verify(token(), without)
    verifier.verify(token(), key_set())
    assert verifier.checked == 3


def test_refused_token_is_not_cached(verifier: CountingVerifier, keys: KeySet) -> None:
    for _ in range(2):
        with pytest.raises(InvalidToken):
            verifier.verify(token(aud="others"), keys)
    assert verifier.checked == 2


@pytest.mark.parametrize("change", [" {}", "{}=", "{}\udcff", "{}A"])
def test_similar_text_does_not_match_a_remembered_token(
    verifier: CountingVerifier, keys: KeySet, change: str
) -> None:
    verifier.verify(token(), keys)
    with pytest.raises(InvalidToken):
        verifier.verify(change.format(token()), keys)


def test_number_of_remembered_tokens_is_bounded(
    verifier: CountingVerifier, keys: KeySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwt_token_verifier, "MAX_KNOWN_TOKENS", 2)
    for jti in ("one", "two", "three"):
        verifier.verify(token(jti=jti), keys)
    verifier.verify(token(jti="three"), keys)
    verifier.verify(token(jti="two"), keys)
    assert verifier.checked == 3
    verifier.verify(token(jti="one"), keys)
    assert verifier.checked == 4


def test_cached_tokens_with_many_scopes_take_limited_memory(
    clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short scopes take 17 times as much memory as in the payload."""
    limit = 1_048_576
    monkeypatch.setattr(jwt_token_verifier, "MAX_KNOWN_SIZE", limit)
    verifier = JwtTokenVerifier(
        lambda claims: claims.scope(),
        clock=clock,
        issuer="https://orders.example",
        audiences=["orders"],
        leeway=timedelta(seconds=5),
    )
    tokens = [token(scope=" ".join(f"{i:x}{j:x}" for j in range(2_000))) for i in range(20)]
    keys = key_set()
    tracemalloc.start()
    try:
        for each in tokens:
            assert len(verifier.verify(each, keys)) == 2_000
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 1.5 * limit

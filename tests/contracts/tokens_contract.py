"""Token issuer contract."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.application.errors import InvalidToken
from ordergate.application.ports.tokens import Caller, TokenIssuer
from ordergate.domain.scope import Scope
from ordergate.domain.session import SessionId
from ordergate.domain.user import MAX_ID, UserId
from tests.support.doubles import SettableClock
from tests.support.properties import at_most


class TokenIssuerContract:
    """`TokenIssuer` with a lifetime of 900 s and the fixture `clock`.

    The leeway is 0 s.
    """

    @pytest.fixture
    def clock(self) -> SettableClock:
        return SettableClock()

    @pytest.fixture
    def tokens(self, clock: SettableClock) -> TokenIssuer:
        raise NotImplementedError

    @pytest.mark.parametrize("user_id", [1, 42, MAX_ID])
    async def test_verify_returns_the_caller(self, tokens: TokenIssuer, user_id: int) -> None:
        scope = frozenset({Scope.ACCOUNT, Scope.ORDERS_READ})
        caller = Caller(UserId(user_id), "a client", scope, SessionId("0123456789abcdef" * 2))
        assert await tokens.verify(tokens.issue(caller).value) == caller

    def test_token_says_how_long_it_lives(self, tokens: TokenIssuer) -> None:
        assert tokens.issue(Caller(UserId(1), "c")).expires_in == 900

    async def test_token_is_refused_from_the_second_it_expires(
        self, tokens: TokenIssuer, clock: SettableClock
    ) -> None:
        token = tokens.issue(Caller(UserId(1), "c")).value
        clock.advance(seconds=899.5)
        assert await tokens.verify(token) == Caller(UserId(1), "c")
        clock.advance(seconds=0.5)
        with pytest.raises(InvalidToken):
            await tokens.verify(token)

    async def test_token_expires_no_later_than_its_session(
        self, tokens: TokenIssuer, clock: SettableClock
    ) -> None:
        caller = Caller(UserId(1), "c")
        assert tokens.issue(caller, until=clock.now() + timedelta(hours=1)).expires_in == 900
        token = tokens.issue(caller, until=clock.now() + timedelta(seconds=60))
        assert token.expires_in == 60
        clock.advance(seconds=59)
        await tokens.verify(token.value)
        clock.advance(seconds=1)
        with pytest.raises(InvalidToken):
            await tokens.verify(token.value)

    async def test_token_is_not_extended_by_until(
        self, tokens: TokenIssuer, clock: SettableClock
    ) -> None:
        caller = Caller(UserId(1), "c")
        token = tokens.issue(caller, until=clock.now() + timedelta(hours=1)).value
        clock.advance(seconds=900)
        with pytest.raises(InvalidToken):
            await tokens.verify(token)

    async def test_token_does_not_exceed_until_by_a_fraction_of_a_second(
        self, tokens: TokenIssuer, clock: SettableClock
    ) -> None:
        until = clock.now() + timedelta(seconds=59.5)
        token = tokens.issue(Caller(UserId(1), "c"), until=until)
        assert token.expires_in <= 59.5
        clock.advance(seconds=58.5)
        await tokens.verify(token.value)
        clock.advance(seconds=1)
        with pytest.raises(InvalidToken):
            await tokens.verify(token.value)

    def test_tokens_are_all_different(self, tokens: TokenIssuer) -> None:
        caller = Caller(UserId(1), "c")
        assert tokens.issue(caller).value != tokens.issue(caller).value

    def test_repr_does_not_contain_the_token(self, tokens: TokenIssuer) -> None:
        token = tokens.issue(Caller(UserId(1), "c"))
        assert token.value not in repr(token)

    @at_most(40)
    @given(token=st.one_of(st.text(), st.text("ab.=-_é\ud800\0", max_size=40)))
    async def test_any_other_text_is_rejected(self, tokens: TokenIssuer, token: str) -> None:
        with pytest.raises(InvalidToken):
            await tokens.verify(token)

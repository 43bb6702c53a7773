"""Access tokens: who is asking, and how a client proves it."""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ordergate.domain.scope import Scope
from ordergate.domain.session import SessionId
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: the user `id`, through the OAuth2 client `client_id` (not authenticated).

    The token grants `scope` and belongs to `session`; `None` is a token of another issuer.
    """

    id: UserId
    client_id: str
    scope: frozenset[Scope] = frozenset()
    session: SessionId | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token (RFC 6750), accepted for the next `expires_in` seconds. It is in no `repr`."""

    value: str = field(repr=False)
    expires_in: int


class TokenVerifier(Protocol):
    """Access tokens, read when they come back."""

    @abstractmethod
    async def verify(self, token: str) -> Caller:
        """Read a token. Raises `InvalidToken` for any text that is none, whatever it is.

        Computation alone where the keys are at hand; where they are not and cannot be had, raises
        `IssuerKeysUnavailable`.
        """


class TokenIssuer(TokenVerifier, Protocol):
    """Access tokens of our own: made for users who signed in."""

    @abstractmethod
    def issue(self, caller: Caller, *, until: datetime | None = None) -> AccessToken:
        """Make a token that `verify` turns back into an equal caller until it expires.

        That is after the lifetime of tokens, or at `until` if that is sooner.
        """


Jwks = dict[str, list[dict[str, str]]]
"""A JWK Set as RFC 7517, section 5, writes it."""


class PublicKeys(Protocol):
    """The keys that others verify our tokens with."""

    @abstractmethod
    def jwks(self) -> Jwks:
        """Return every key of ours that a token may be signed with now or soon; public parts only.

        Each has a `kid`, which the tokens it signs name, an `alg`, and the `use` "sig". What only
        verifies is there too, until no token of its is good. A secret is not published.
        """

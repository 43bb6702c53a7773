"""Access tokens and their callers."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from ordergate.domain.session import SessionId
from ordergate.domain.user import UserId


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request: the user `id` through the client `client_id`.

    The client is not authenticated. The token grants `scope` and belongs to `session`; `None` is a
    token of another issuer. `claims` are the verified claims of the token. `key_id` is the `kid` of
    its key, for the log. Callers with different claims or keys may be equal.
    """

    id: UserId
    client_id: str
    scope: frozenset[str] = frozenset()
    session: SessionId | None = None
    claims: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    key_id: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token (RFC 6750) that is accepted for `expires_in` seconds.

    `repr` omits it.
    """

    value: str = field(repr=False)
    expires_in: int


class TokenVerifier(Protocol):
    """Verifies access tokens."""

    @abstractmethod
    async def verify(self, token: str) -> Caller:
        """Return the caller of a token. Raises `InvalidToken` for any other text.

        It only computes while the keys are known. Raises `IssuerKeysUnavailable` if they cannot be
        fetched.
        """


class TokenIssuer(TokenVerifier, Protocol):
    """Issues own access tokens, and verifies them."""

    @abstractmethod
    def issue(self, caller: Caller, *, until: datetime | None = None) -> AccessToken:
        """Issue a token that `verify` turns into an equal caller.

        It expires after the lifetime of tokens, or at `until` if that is sooner.
        """


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """A check of a token: its finding, and its failure or `None`."""

    name: str
    found: str
    failure: str | None = None


@runtime_checkable
class TokenExplainer(Protocol):
    """Explains to an operator why a token is accepted or refused."""

    @abstractmethod
    async def explain(self, token: str) -> Sequence[TokenCheck]:
        """Run every check on a text, also after a failure; change nothing.

        The result has no token and no key material.
        """


Jwks = dict[str, list[dict[str, str]]]
"""A JWK Set (RFC 7517, section 5)."""


class PublicKeys(Protocol):
    """The public keys that verify own tokens."""

    @abstractmethod
    def jwks(self) -> Jwks:
        """Return the public keys of tokens that are or will be valid.

        Each has a `kid`, which its tokens name, an `alg`, and the `use` "sig". A key that only
        verifies is included until all its tokens have expired. A secret is not published.
        """


class IssuerKeys(NamedTuple):
    """The fetched keys of another issuer.

    `age` is the time since the last successful fetch in seconds; `None` before one. `failing`: the
    last fetch failed.
    """

    age: float | None
    failing: bool


@runtime_checkable
class IssuerKeysInspector(Protocol):
    """A reader of another issuer's keys that states their age to operators."""

    @abstractmethod
    def inspect(self) -> IssuerKeys:
        """Return the age, without work; called once a second."""

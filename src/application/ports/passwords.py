"""Passwords: hashed slowly, and guessed slowly."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, Self

from ordergate.domain.address import client_network, customer_network
from ordergate.domain.session import SessionId
from ordergate.domain.user import Password, PasswordHash, UserId, Username


@dataclass(frozen=True, slots=True)
class AccountKey:
    """Sign-ins to the account of a name, whether or not it exists.

    `name` is the prepared form, so every spelling of a name has the same key.
    """

    name: str


@dataclass(frozen=True, slots=True)
class UnusableNameKey:
    """Sign-ins with text that cannot be the name of an account, as it was typed."""

    name: str


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Requests in one session to confirm the password; a caller without one counts by user."""

    user: UserId
    session: SessionId | None


ThrottleKey = AccountKey | UnusableNameKey | SessionKey
"""What failed attempts are counted for. Keys of different kinds are never equal."""


def sign_in_key(username: str) -> AccountKey | UnusableNameKey:
    """Return the key of sign-ins with a user name as it was typed.

    Text that cannot be a name is not prepared, because that may take long.
    """
    spellings = Username.spellings(username)
    return AccountKey(spellings[-1].value) if spellings else UnusableNameKey(username)


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to a guess: whether it `matches`, and the hash to store instead, if one is due."""

    matches: bool
    upgraded: PasswordHash | None = None


@dataclass(frozen=True, slots=True)
class Requester:
    """The client that a password is hashed for: its networks, and the account it works on.

    `network` is within that of its `customer`, or the same. `known` says whether the client
    has a session of the account, or its user has signed in from that network before. So strangers
    take no places from those who know the account.
    """

    customer: str
    network: str
    account: str
    known: bool

    @classmethod
    def at(cls, address: str, username: str, *, known: bool) -> Self:
        """Make the requester of an IP address and a user name, as a client wrote them."""
        account = sign_in_key(username).name
        return cls(customer_network(address), client_network(address), account, known)


class PasswordHasher(Protocol):
    """Slow, salted password hashes, computed for all requesters in turn.

    Both methods raise `Overloaded` before any work begins when too much waits; the requesters that
    have most waiting are refused first. They raise `Throttled` when too much is under way for one
    account. Work without a requester, as of a command, has only the first bound.
    """

    @abstractmethod
    async def hash(self, password: Password, requester: Requester | None = None) -> PasswordHash:
        """Hash a password with a new salt at the configured cost."""

    @abstractmethod
    async def verify(
        self,
        password: Password,
        stored: PasswordHash | None,
        requester: Requester | None = None,
    ) -> Verification:
        """Compare a guess with a stored hash.

        `None` stands for an account that does not exist: it never matches and costs the same work,
        as does a stored value that is no hash. A match against a hash that is weaker than new ones
        brings the upgraded hash along.
        """


class Throttle(Protocol):
    """Slows guessing down, by account and by address, without asking whether an account exists."""

    @abstractmethod
    async def guard(
        self,
        key: ThrottleKey,
        address: str,
        verify: Callable[[], Awaitable[Verification]],
        *,
        familiar: bool,
    ) -> Verification:
        """Verify one guess and return the outcome. Raises `Throttled` instead of calling `verify`.

        A guess that does not match is counted once before this returns: for the key, for the
        address and, of IPv6, for the /48, which has 10 times the limit of an address. A guess whose
        `verify` raises or is cancelled is not counted. Guesses under way count as failures, so many
        in parallel get no further than one after another.

        At an address that is `familiar`, because the user has signed in there before, only the
        failures of that key from that address count: nobody elsewhere, and no other account
        there, can lock the user out. A match forgets the failures of the key from that address.
        """

    @abstractmethod
    async def count_sign_up(self, address: str) -> None:
        """Count an account that is about to be opened from an address.

        Raises `Throttled` after as many as an address may have failures, or an IPv6 /48 10 times as
        many, and counts none there then.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let everything go; may be called twice."""

"""Password hashing, and the throttling of guesses."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self, runtime_checkable

from ordergate.domain.address import find_client_network, find_customer_network
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
    """Sign-ins with text that cannot be the name of an account."""

    name: str


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Password confirmations in a session, or of a user without one."""

    user: UserId
    session: SessionId | None


ThrottleKey = AccountKey | UnusableNameKey | SessionKey
"""The subject of failed attempts. Keys of different kinds are never equal."""


def make_sign_in_key(username: str) -> AccountKey | UnusableNameKey:
    """Return the key of sign-ins with a typed user name.

    Text that cannot be a name is not prepared, because that may take long.
    """
    spellings = Username.list_spellings(username)
    return AccountKey(spellings[-1].value) if spellings else UnusableNameKey(username)


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a guess, and the upgraded hash, if any."""

    matches: bool
    upgraded: PasswordHash | None = None


Verify = Callable[[], Awaitable[Verification]]
"""Compares one guess."""


@dataclass(frozen=True, slots=True)
class Requester:
    """The client of a hashing job: its networks and its account.

    `network` is within the network of its `customer`, or equal to it. `known` says whether the
    client has a session of the account, or the user has signed in from that network before. Unknown
    clients therefore take no place of known ones.
    """

    customer: str
    network: str
    account: str
    known: bool

    @classmethod
    def from_client(cls, address: str, username: str, *, known: bool) -> Self:
        """Make the requester of an IP address and a typed user name."""
        account = make_sign_in_key(username).name
        return cls(find_customer_network(address), find_client_network(address), account, known)


class PasswordHasher(Protocol):
    """Slow, salted password hashes, computed for all requesters in turn.

    Both methods raise `Overloaded` before any work when too many jobs wait; the requesters with the
    most waiting jobs are refused first. They raise `Throttled` when an account has too many jobs in
    progress. Only the first limit applies to a job without a requester, such as a command's.
    """

    @abstractmethod
    async def hash(self, password: Password, requester: Requester | None = None) -> PasswordHash:
        """Hash a password with a new salt at the configured cost."""

    @abstractmethod
    async def verify(
        self, password: Password, stored: PasswordHash | None, requester: Requester | None = None
    ) -> Verification:
        """Compare a guess with a stored hash.

        `None` stands for a missing account. It never matches and costs the same work, and so does a
        stored value that is not a hash. A match with a weak hash returns the upgraded hash.
        """

    @abstractmethod
    def close(self) -> None:
        """End the threads after their work, and drop waiting work.

        May be called twice.

        A later call of another method starts new threads.
        """


class HashingLoad(NamedTuple):
    """The busy threads of a hasher, the waiting passwords, and both limits.

    More threads than `threads` may be busy for a while, if idle ones make no progress.
    """

    threads: int
    busy: int
    queue: int
    waiting: int


@runtime_checkable
class HasherInspector(Protocol):
    """A hasher that states its load to operators."""

    @abstractmethod
    def count_jobs(self) -> HashingLoad:
        """Count running and waiting jobs, without work; called once a second."""


class Throttle(Protocol):
    """Limits guesses by account and by address, without account look-ups."""

    @abstractmethod
    async def guard(
        self, key: ThrottleKey, address: str, verify: Verify, *, familiar: bool
    ) -> Verification:
        """Verify one guess and return the result, or raise `Throttled`.

        A guess that does not match counts once for the key, for the address and for its IPv6 /48,
        which has 10 times the limit of an address. If `verify` raises or is cancelled, the guess
        does not count. Guesses in progress count as failures, so parallel guesses get no further
        than sequential ones.

        At a `familiar` address, where the user has signed in before, only failures of this key from
        this address count. Failures elsewhere, and of other accounts there, never lock the user
        out. A match removes the failures of the key from that address.
        """

    @abstractmethod
    async def count_sign_up(self, address: str) -> None:
        """Count a registration from an address.

        Raises `Throttled`, and counts nothing, when the address reached the limit of failures, or
        its IPv6 /48 ten times this limit.
        """

    @abstractmethod
    async def close(self) -> None:
        """Release all resources; may be called twice."""

"""Contract tests on adapters that each have one fault.

A mutant is an adapter of `adapters/memory`, or a double, with one plausible fault. `caught_by`
names the contract tests that must fail on it: each of them, by itself.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from ordergate.adapters.memory import InMemoryStorage, Tables
from ordergate.adapters.memory.orders import InMemoryBulkLoader
from ordergate.adapters.tokens.keys.key_source import StaticKeys
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.errors import ApplicationError
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.passwords import PasswordHasher, Throttle
from ordergate.application.ports.rate_limits import RateLimiter
from ordergate.application.ports.signing_keys import SigningKeys
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.tokens import PublicKeys, TokenIssuer
from ordergate.domain.order import Order
from ordergate.domain.user import PasswordHash, User
from tests.contracts.clock_contract import ClockContract
from tests.contracts.passwords_contract import PasswordHasherContract
from tests.contracts.public_keys_contract import PublicKeysContract
from tests.contracts.rate_limiter_contract import RateLimiterContract
from tests.contracts.signing_keys_contract import SigningKeysContract
from tests.contracts.storage.storage_contract import WholeStorageContract
from tests.contracts.throttle_contract import ThrottleContract
from tests.contracts.tokens_contract import TokenIssuerContract
from tests.support.doubles import InMemorySigningKeys, InstantPasswordHasher, SettableClock
from tests.support.storage.fault_injection import Failure

C = TypeVar("C", bound=type)

FAILURES = (AssertionError, pytest.fail.Exception, ApplicationError, ValueError)
"""How a contract test fails. Any other exception is a defect of the mutant or of the test."""

PORTS = ("users", "sessions", "orders", "staff_orders", "loader", "archive")


CAUGHT_BY: dict[object, tuple[str, ...]] = {}
"""The contract tests that must fail on each mutant."""


def caught_by(*tests: str) -> Callable[[C], C]:
    """Name the contract tests that fail on a mutant.

    `test_name[id]` is one case of a parametrized test. Without an id, every case fails.
    """

    def mark(mutant: C) -> C:
        CAUGHT_BY[mutant] = tests
        return mutant

    return mark


@contextmanager
def must_fail(test: str) -> Iterator[None]:
    """Fail if a contract test passes."""
    try:
        yield
    except FAILURES:
        return
    pytest.fail(f"{test} passes an adapter with this fault")


class Conflict(Exception):
    """Another transaction was first."""


class ConflictingLoader(InMemoryBulkLoader):
    """Repeats a load after a conflict, and keeps what it has read."""

    def commit(self) -> None:
        """Do nothing until a test has this fail."""

    async def load(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        some_users, some_orders = list(users), list(orders)
        await self.attempt(some_users, some_orders)

    async def attempt(self, users: Iterable[User], orders: Iterable[Order]) -> None:
        while True:
            with suppress(Conflict):
                some_users, some_orders = list(users), list(orders)
                self.commit()
                return await super().load(some_users, some_orders)


class MutantStorage(WholeStorageContract):
    """A storage with a mutated part, or a mutated storage."""

    mutant: ClassVar[Any] = InMemoryStorage

    def build(self) -> InMemoryStorage:
        if issubclass(self.mutant, InMemoryStorage):
            whole: InMemoryStorage = self.mutant()
            return whole
        storage = InMemoryStorage()
        (port,) = (port for port in PORTS if issubclass(self.mutant, type(getattr(storage, port))))
        setattr(storage, port, self.mutant(storage.tables))
        return storage

    @pytest.fixture
    def storage(self) -> Storage:
        return self.build()

    def another(self, storage: Storage) -> Storage:
        """Return a second object that shares only the data, as processes do."""
        assert isinstance(storage, InMemoryStorage)
        other = self.build()
        other.tables, other._secret = storage.tables, storage._secret
        for port in PORTS:
            getattr(other, port)._tables = storage.tables
        return other

    async def empty(self, storage: Storage) -> None:
        assert isinstance(storage, InMemoryStorage)
        for table in fields(Tables):
            setattr(storage.tables, table.name, getattr(Tables(), table.name))

    @contextmanager
    def conflict_at(self, storage: Storage, failure: Failure) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            if isinstance(storage.loader, ConflictingLoader):
                patch.setattr(storage.loader, "commit", lambda: failure.step(Conflict()))
            yield


class MutantThrottle(ThrottleContract):
    mutant: ClassVar[Any]

    @pytest.fixture
    def throttle(self) -> Throttle:
        window = timedelta(seconds=60)
        throttle: Throttle = self.mutant(
            SettableClock(), per_account=3, per_address=6, window=window
        )
        return throttle


class MutantRateLimiter(RateLimiterContract):
    mutant: ClassVar[Any]

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        limiter: RateLimiter = self.mutant(per_address=6, per_client=3, window_seconds=60)
        return limiter


class MutantPasswordHasher(PasswordHasherContract):
    mutant: ClassVar[Any]

    @pytest.fixture
    def hasher(self) -> PasswordHasher:
        hasher: PasswordHasher = self.mutant(work=2)
        return hasher

    @pytest.fixture
    def outdated(self) -> PasswordHash:
        return PasswordHash("1$salt$old password")

    def work(self, hasher: PasswordHasher) -> float:
        assert isinstance(hasher, InstantPasswordHasher)
        return len(hasher.verified)


class MutantTokenIssuer(TokenIssuerContract):
    mutant: ClassVar[Any]

    @pytest.fixture
    def tokens(self, clock: SettableClock) -> TokenIssuer:
        tokens: TokenIssuer = self.mutant(clock)
        return tokens


class MutantClock(ClockContract):
    mutant: ClassVar[Any]

    @pytest.fixture
    def clock(self) -> Clock:
        clock: Clock = self.mutant()
        return clock


class MutantPublicKeys(PublicKeysContract):
    mutant: ClassVar[Any]

    @pytest.fixture
    def keys(self) -> PublicKeys:
        keys: PublicKeys = self.mutant()
        return keys


class MutantSigningKeys(SigningKeysContract):
    mutant: ClassVar[Any]

    @pytest.fixture
    def keys(self) -> SigningKeys:
        keys: SigningKeys = self.mutant()
        return keys

    @pytest.fixture
    def pem(self) -> Path:
        return Path("private.pem")

    @pytest.fixture
    def no_pem(self) -> Path:
        return Path("notes.txt")

    def another(self, keys: SigningKeys) -> SigningKeys:
        assert isinstance(keys, InMemorySigningKeys)
        other: SigningKeys = self.mutant(keys.kept)
        return other


CONTRACTS = {
    Throttle: MutantThrottle,
    RateLimiter: MutantRateLimiter,
    PasswordHasher: MutantPasswordHasher,
    TokenIssuer: MutantTokenIssuer,
    Clock: MutantClock,
    PublicKeys: MutantPublicKeys,
    SigningKeys: MutantSigningKeys,
}


def contract_tests(contract: type) -> set[str]:
    return {name for name in dir(contract) if name.startswith("test_")}


def contract_for(mutant: type, caught: tuple[str, ...]) -> type:
    """Make a test class: the mutant's contract with the tests to fail."""
    contract = next(
        (own for port, own in CONTRACTS.items() if port in mutant.__mro__), MutantStorage
    )
    names = {name.partition("[")[0] for name in caught}
    unknown = names - contract_tests(contract)
    if unknown or not names:
        raise pytest.UsageError(f"{mutant.__name__}: no contract test is named {unknown}")
    others = dict.fromkeys(contract_tests(contract) - names)
    return type(mutant.__name__, (contract,), {**others, "mutant": mutant, "caught": caught})


class Keys(StaticKeys):
    def __init__(self) -> None:
        super().__init__(_signing_key())


@cache
def _signing_key() -> SigningKey:
    return SigningKey.from_pem(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

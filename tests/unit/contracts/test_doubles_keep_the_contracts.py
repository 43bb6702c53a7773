from dataclasses import fields
from datetime import timedelta

import pytest

from ordergate.adapters.memory import InMemoryStorage, Tables
from ordergate.adapters.system.system_clock import SystemClock
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.passwords import PasswordHasher, Throttle
from ordergate.application.ports.storage import Storage
from ordergate.application.ports.tokens import TokenIssuer
from ordergate.domain.user import PasswordHash
from tests.contracts.clock_contract import ClockContract
from tests.contracts.identity_contract import STATEFUL, IdentityMachine
from tests.contracts.passwords_contract import PasswordHasherContract
from tests.contracts.storage_contract import StorageContract
from tests.contracts.throttle_contract import ThrottleContract
from tests.contracts.tokens_contract import TokenIssuerContract
from tests.support.doubles import (
    CountingThrottle,
    InMemorySigningKeys,
    InstantPasswordHasher,
    SettableClock,
    TableTokenIssuer,
)
from tests.support.throttle_calls import guess, is_blocked
from tests.unit.mutants.kit import MutantSigningKeys


class TestInMemoryStorage(StorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return InMemoryStorage()

    def another(self, storage: Storage) -> Storage:
        return storage  # memory is not shared with other processes

    async def empty(self, storage: Storage) -> None:
        assert isinstance(storage, InMemoryStorage)
        for table in fields(storage.tables):
            setattr(storage.tables, table.name, getattr(Tables(), table.name))


class TestInstantPasswordHasher(PasswordHasherContract):
    @pytest.fixture
    def hasher(self) -> PasswordHasher:
        return InstantPasswordHasher(work=2)

    @pytest.fixture
    def outdated(self) -> PasswordHash:
        return PasswordHash("1$salt$old password")

    def work(self, hasher: PasswordHasher) -> float:
        assert isinstance(hasher, InstantPasswordHasher)
        return len(hasher.verified)


class TestTableTokenIssuer(TokenIssuerContract):
    @pytest.fixture
    def tokens(self, clock: SettableClock) -> TokenIssuer:
        return TableTokenIssuer(clock)


class TestCountingThrottle(ThrottleContract):
    @pytest.fixture
    def clock(self) -> SettableClock:
        return SettableClock()

    @pytest.fixture
    def throttle(self, clock: SettableClock) -> Throttle:
        return CountingThrottle(clock, per_account=3, per_address=6, window=timedelta(seconds=60))

    async def test_failures_expire(self, throttle: Throttle, clock: SettableClock) -> None:
        for _ in range(3):
            await guess(throttle)
        clock.advance(seconds=59)
        assert await is_blocked(throttle)
        clock.advance(seconds=1)
        assert not await is_blocked(throttle)


class TestInMemorySigningKeys(MutantSigningKeys):
    mutant = InMemorySigningKeys


class TestSettableClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return SettableClock()


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()


class InMemoryIdentity(IdentityMachine):
    def storage(self) -> Storage:
        return InMemoryStorage()


TestIdentityInMemory = InMemoryIdentity.TestCase
TestIdentityInMemory.settings = STATEFUL

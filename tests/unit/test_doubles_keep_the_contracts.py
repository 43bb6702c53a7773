import pytest

from adapters.clock import SystemClock
from adapters.memory import (
    InMemoryBulkLoader,
    InMemoryOrderRepository,
    InMemoryStorage,
    InMemoryUserRepository,
)
from application.ports import Clock, PasswordHasher, TokenIssuer
from domain.user import PasswordHash
from tests.contracts.clock import ClockContract
from tests.contracts.passwords import PasswordHasherContract
from tests.contracts.storage import Parts, StorageContract
from tests.contracts.tokens import TokenIssuerContract
from tests.doubles import InstantPasswordHasher, SettableClock, TableTokenIssuer


class TestInMemoryStorage(StorageContract):
    @pytest.fixture
    def parts(self) -> Parts:
        storage = InMemoryStorage()
        return Parts(
            storage,
            InMemoryUserRepository(storage),
            InMemoryOrderRepository(storage),
            InMemoryBulkLoader(storage),
        )

    async def empty(self, parts: Parts) -> None:
        assert isinstance(parts.storage, InMemoryStorage)
        parts.storage.users.clear()
        parts.storage.orders.clear()


class TestInstantPasswordHasher(PasswordHasherContract):
    @pytest.fixture
    def hasher(self) -> PasswordHasher:
        return InstantPasswordHasher(work=2)

    @pytest.fixture
    def outdated(self) -> PasswordHash:
        return PasswordHash("1$salt$old password")


class TestTableTokenIssuer(TokenIssuerContract):
    @pytest.fixture
    def tokens(self, clock: SettableClock) -> TokenIssuer:
        return TableTokenIssuer(clock)


class TestSettableClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return SettableClock()


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

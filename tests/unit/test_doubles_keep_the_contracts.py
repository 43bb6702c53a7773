import pytest

from adapters.clock import SystemClock
from adapters.memory import InMemoryStorage
from application.ports import Clock, PasswordHasher, Storage, TokenIssuer
from domain.user import PasswordHash
from tests.contracts.clock import ClockContract
from tests.contracts.passwords import PasswordHasherContract
from tests.contracts.storage import StorageContract
from tests.contracts.tokens import TokenIssuerContract
from tests.doubles import InstantPasswordHasher, SettableClock, TableTokenIssuer


class TestInMemoryStorage(StorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return InMemoryStorage()

    def another(self, storage: Storage) -> Storage:
        return storage  # memory is not shared with other processes

    async def empty(self, storage: Storage) -> None:
        assert isinstance(storage, InMemoryStorage)
        storage.users_by_name.clear()
        storage.ids_by_subject.clear()
        storage.orders_by_key.clear()


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

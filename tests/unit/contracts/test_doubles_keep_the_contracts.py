"""Doubles pass the contracts, in the harness in which mutants fail."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import timedelta

import pytest

from ordergate.adapters.memory import InMemoryStorage, Tables
from ordergate.adapters.system.system_clock import SystemClock
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.orders import OrderRepository
from ordergate.application.ports.storage import Storage
from ordergate.domain.order import Order
from ordergate.domain.user import User
from tests.contracts.clock_contract import ClockContract
from tests.contracts.orders.separate_orders_contract import SeparateOrdersContract
from tests.contracts.storage.identity_contract import STATEFUL, IdentityMachine
from tests.contracts.storage.storage_contract import StorageContract, WholeStorageContract
from tests.support.doubles import (
    CountingThrottle,
    InMemorySigningKeys,
    InstantPasswordHasher,
    SettableClock,
    TableTokenIssuer,
)
from tests.support.identity.throttle_calls import guess, is_blocked
from tests.support.storage.storages import BareStorage, InMemorySeparateOrders
from tests.unit.mutants.kit import (
    MutantClock,
    MutantPasswordHasher,
    MutantSigningKeys,
    MutantThrottle,
    MutantTokenIssuer,
)


class TestInMemoryStorage(WholeStorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return InMemoryStorage()

    def another(self, storage: Storage) -> Storage:
        return storage  # memory is not shared with other processes

    async def empty(self, storage: Storage) -> None:
        assert isinstance(storage, InMemoryStorage)
        for table in fields(storage.tables):
            setattr(storage.tables, table.name, getattr(Tables(), table.name))


class TestBareStorage(StorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return BareStorage()

    async def fill(
        self, storage: Storage, users: Iterable[User], orders: Iterable[Order] = ()
    ) -> None:
        assert isinstance(storage, BareStorage)
        await storage.whole.loader.load(users, orders)

    def another(self, storage: Storage) -> Storage:
        return storage

    async def empty(self, storage: Storage) -> None:
        assert isinstance(storage, BareStorage)
        for table in fields(storage.whole.tables):
            setattr(storage.whole.tables, table.name, getattr(Tables(), table.name))


class TestInMemorySeparateOrders(SeparateOrdersContract):
    @pytest.fixture
    def orders(self) -> OrderRepository:
        return InMemorySeparateOrders()

    async def empty_orders(self, orders: OrderRepository) -> None:
        assert isinstance(orders, InMemorySeparateOrders)
        orders.refused.clear()
        orders._tables.orders.clear()
        orders._tables.keys.clear()

    @asynccontextmanager
    async def another_process(self, orders: OrderRepository) -> AsyncIterator[OrderRepository]:
        yield orders  # memory is not shared with other processes


class TestInstantPasswordHasher(MutantPasswordHasher):
    mutant = InstantPasswordHasher


class TestTableTokenIssuer(MutantTokenIssuer):
    mutant = TableTokenIssuer


class TestCountingThrottle(MutantThrottle):
    mutant = CountingThrottle


async def test_counting_throttle_forgets_failures_in_time() -> None:
    clock = SettableClock()
    throttle = CountingThrottle(clock, per_account=3, window=timedelta(seconds=60))
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


class TestSystemClock(MutantClock):
    mutant = SystemClock


class InMemoryIdentity(IdentityMachine):
    def storage(self) -> Storage:
        return InMemoryStorage()


TestIdentityInMemory = InMemoryIdentity.TestCase
TestIdentityInMemory.settings = STATEFUL

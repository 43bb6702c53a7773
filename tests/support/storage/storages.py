"""Storages and stores of orders that lack a part, in memory."""

from datetime import UTC, datetime

from ordergate.adapters.memory import InMemoryOrderRepository, InMemoryStorage, Tables
from ordergate.adapters.memory.orders import InMemoryStaffOrders
from ordergate.application.errors import AccountHasOpenOrders
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.application.ports.storage import SeparateOrders, Storage
from ordergate.domain.order import Order
from ordergate.domain.user import UserId


class BareStorage(Storage):
    """A storage without a bulk loader and without an archive."""

    def __init__(self) -> None:
        self.whole = InMemoryStorage()
        self.users, self.sessions = self.whole.users, self.whole.sessions
        self.orders, self.staff_orders = self.whole.orders, self.whole.staff_orders

    async def migrate(self) -> None:
        await self.whole.migrate()

    async def open(self, *, unfinished: bool = False) -> None:
        await self.whole.open(unfinished=unfinished)

    async def close(self) -> None:
        await self.whole.close()

    async def ping(self) -> None:
        await self.whole.ping()

    async def get_secret(self) -> bytes:
        return await self.whole.get_secret()


class InMemorySeparateOrders(InMemoryOrderRepository, InMemoryStaffOrders, SeparateOrders):
    """Orders of any owner, beside accounts that are elsewhere."""

    def __init__(self) -> None:
        super().__init__(Tables())
        self.refused: dict[UserId, datetime] = {}
        self.closed = False

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        if order.placed_at < self.refused.get(owner, datetime.min.replace(tzinfo=UTC)):
            return None
        self._tables.external.add(owner)
        return await super().add(order, owner=owner, key=key)

    async def refuse_orders(self, owner: UserId, *, until: datetime) -> None:
        if self._tables.has_open_orders(owner):
            raise AccountHasOpenOrders
        self.refused[owner] = max(until, self.refused.get(owner, until))

    async def ping(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True

"""Hooks of the order contracts."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from ordergate.application.ports.orders import OrderRepository, StaffOrders
from ordergate.domain.order import Order
from ordergate.domain.user import User

MANY = 20


class OrderHooks:
    """Hooks that a subclass overrides for its repository of orders."""

    @pytest.fixture
    def orders(self) -> OrderRepository:
        """Return an empty repository."""
        raise NotImplementedError

    @pytest.fixture
    def staff_orders(self, orders: OrderRepository) -> StaffOrders:
        """Return the staff view of the same orders."""
        raise NotImplementedError

    async def place_all(
        self, orders: OrderRepository, owners: Iterable[User], placed: Iterable[Order] = ()
    ) -> None:
        """Register the owners, if the repository needs accounts, and store the orders."""
        for order in placed:
            assert await orders.add(order, owner=order.owner) == order

    async def empty_orders(self, orders: OrderRepository) -> None:
        """Remove all orders and keys."""
        raise NotImplementedError

    async def close_account(self, orders: OrderRepository, owner: User) -> bool:
        """Close an account as the repository sees it. Raises `AccountHasOpenOrders`."""
        raise NotImplementedError

    def another_process(
        self, orders: OrderRepository
    ) -> AbstractAsyncContextManager[OrderRepository]:
        """Open a repository of the same orders for another process."""
        raise NotImplementedError

    @asynccontextmanager
    async def alternate_processes(
        self, orders: OrderRepository
    ) -> AsyncIterator[Sequence[OrderRepository]]:
        """Yield the repositories of two processes in turn, `MANY` in all."""
        async with self.another_process(orders) as other:
            yield [orders, other] * (MANY // 2)

"""Calls of use cases by a signed-in user, with round trips."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count

import pytest

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import OrderNotFound
from ordergate.application.ports.audit import Origin
from ordergate.application.ports.storage import Storage
from ordergate.application.sessions.authenticate_user import IssuedTokens
from ordergate.domain.scope import Scope
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from tests.support.builders import ALICE, TEAPOT
from tests.support.doubles import InstantPasswordHasher


class Client:
    """A signed-in user, who calls use cases."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._services = Container(
            settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
            storage=storage,
            hasher=InstantPasswordHasher(),
        )
        self._origin = Origin("192.0.2.1", "request")
        self._name, self._password = "carol", "tea at five o'clock"
        self._keys = count()

    async def begin(self) -> None:
        """Register, sign in and place an order."""
        user = await self._services.register_user()(self._name, self._password)
        self._id = user.id
        self._tokens = await self._start_session()
        sessions = self._storage.sessions
        (self._session,) = [
            each.id for each in await sessions.list_active(self._id, at=datetime.now(UTC), limit=1)
        ]
        await self.place()

    async def prepare(self, call: "Call") -> None:
        """Do what a call needs."""
        if call is Client.cancel:
            await self.place()

    async def sign_in(self) -> None:
        self._tokens = await self._start_session()

    async def _start_session(self) -> IssuedTokens:
        return await self._services.authenticate_user()(
            self._name,
            self._password,
            client_id="shop",
            scope=frozenset({Scope.ORDERS_READ}),
            origin=self._origin,
        )

    async def refresh(self) -> None:
        self._tokens = await self._services.refresh_session()(
            self._tokens.refresh.text, client_id="shop", scope=None, origin=self._origin
        )

    async def check_session(self) -> None:
        now = datetime.now(UTC)
        assert await self._storage.sessions.is_active(self._session, user=self._id, at=now)

    async def get_account(self) -> None:
        await self._services.get_account()(user=self._id)

    async def place(self, key: str | None = None) -> None:
        placed = await self._services.place_order()((TEAPOT,), owner=self._id, key=key)
        self._order = placed.id

    async def place_with_key(self) -> None:
        await self.place(f"key {next(self._keys)}")

    async def get(self) -> None:
        await self._services.get_own_order()(self._order, owner=self._id)

    async def get_of_another(self) -> None:
        with pytest.raises(OrderNotFound):
            await self._services.get_own_order()(self._order, owner=ALICE.id)

    async def list_page(self) -> None:
        await self._services.list_own_orders()(owner=self._id, limit=50)

    async def cancel(self) -> None:
        await self._services.cancel_order()(self._order, owner=self._id)


Call = Callable[[Client], Awaitable[None]]

ROUND_TRIPS: dict[Call, int] = {
    Client.get: 1,
    Client.get_of_another: 1,
    Client.list_page: 1,
    Client.get_account: 1,
    Client.check_session: 1,
    Client.place: 1,
    Client.place_with_key: 1,
    Client.cancel: 2,
    Client.sign_in: 3,
    Client.refresh: 2,
}
"""Equal on PostgreSQL and MariaDB, where each write is one statement."""


def count_round_trips(storage: SqlStorage) -> int:
    """Return the counted round trips; no work was repeated."""
    work = storage.count_work()
    assert work is not None
    assert work.repetitions == 0
    return work.round_trips

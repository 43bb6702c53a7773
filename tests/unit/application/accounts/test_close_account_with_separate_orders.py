"""Closing an account while its orders are in another store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.accounts.close_account import LONGEST_REQUEST
from ordergate.application.errors import AccountHasOpenOrders, WrongPassword
from ordergate.application.ports.tokens import Caller
from ordergate.domain.order import OrderId, OrderStatus
from tests.support.builders import an_order
from tests.support.identity.identity_harness import HOME, PASSWORD, IdentityHarness
from tests.support.storage.storages import InMemorySeparateOrders

TOKEN_LIFE = timedelta(minutes=5)


@pytest.fixture
def orders() -> InMemorySeparateOrders:
    return InMemorySeparateOrders()


@pytest.fixture
def world(orders: InMemorySeparateOrders) -> IdentityHarness:
    world = IdentityHarness(InMemoryStorage())
    world.close_account = replace(
        world.close_account, separate_orders=orders, token_life=TOKEN_LIFE
    )
    return world


async def test_account_with_an_open_order_elsewhere_stays_open(
    world: IdentityHarness, orders: InMemorySeparateOrders
) -> None:
    alice = await world.add_alice()
    await orders.add(an_order(owner=alice.id), owner=alice.id)
    with pytest.raises(AccountHasOpenOrders):
        await world.close_account(PASSWORD, caller=Caller(alice.id, "shop"), origin=HOME)
    await world.sign_in()
    assert await orders.add(an_order(8, owner=alice.id), owner=alice.id) is not None


async def test_orders_of_a_closed_account_are_refused_as_long_as_a_token_is_accepted(
    world: IdentityHarness, orders: InMemorySeparateOrders
) -> None:
    alice = await world.add_alice()
    done = replace(an_order(owner=alice.id), status=OrderStatus.DELIVERED)
    await orders.add(done, owner=alice.id)
    await world.close_account(PASSWORD, caller=Caller(alice.id, "shop"), origin=HOME)
    assert await world.storage.users.get(alice.id) is None
    assert await orders.get_owned(OrderId(7), owner=alice.id) == done
    until = world.clock.now() + TOKEN_LIFE + LONGEST_REQUEST
    assert orders.refused == {alice.id: until}


async def test_wrong_password_refuses_no_orders(
    world: IdentityHarness, orders: InMemorySeparateOrders
) -> None:
    alice = await world.add_alice()
    with pytest.raises(WrongPassword):
        await world.close_account("wrong", caller=Caller(alice.id, "shop"), origin=HOME)
    assert orders.refused == {}

from datetime import timedelta

import pytest
from dependency_injector.errors import Error
from fastapi import Request

from ordergate.adapters.memory import InMemoryStorage
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.services import get_services
from tests.support.doubles import SettableClock
from tests.support.identity.throttle_calls import HERE, THERE, guess, is_blocked
from tests.support.storage.storages import InMemorySeparateOrders

SECRET = "a secret of more than thirty-two bytes"
SETTINGS = Settings(signing_secret=SECRET)


@pytest.mark.parametrize("name", sorted(Container.providers))
def test_providers_make_their_parts(name: str) -> None:
    container = Container(settings=SETTINGS, orders=InMemorySeparateOrders())
    unset = {"counters", "loader", "rate_limiter"}
    assert (getattr(container, name)() is None) == (name in unset)


@pytest.mark.parametrize(
    "name", sorted(Container.providers.keys() - {"opened_storage", "running_service"})
)
def test_parts_are_made_once(name: str) -> None:
    container = Container(settings=SETTINGS)
    assert getattr(container, name)() is getattr(container, name)()


def test_get_services_returns_the_services_of_the_application() -> None:
    services = Container(settings=SETTINGS)
    app = create_app(services)
    assert get_services(Request({"type": "http", "app": app})) is services


def test_adapter_is_swapped_by_name() -> None:
    storage, clock = InMemoryStorage(), SettableClock()
    container = Container(settings=SETTINGS, storage=storage, clock=clock)
    assert container.get_own_order().orders is storage.orders
    assert container.authenticate_user().users is storage.users
    assert container.clock() is clock


def test_single_repository_is_swapped_by_name() -> None:
    orders = InMemorySeparateOrders()
    container = Container(settings=SETTINGS, orders=orders)
    assert container.get_own_order().orders is orders
    assert container.storage().orders is not orders
    assert container.advance_order().staff_orders is orders
    assert container.close_account().separate_orders is orders
    assert container.seed_storage().loader is None
    plain = Container(settings=SETTINGS)
    assert plain.close_account().separate_orders is None
    assert plain.advance_order().staff_orders is plain.storage().staff_orders


def test_orders_of_another_storage_are_refused() -> None:
    container = Container(settings=SETTINGS, orders=InMemoryStorage().orders)
    with pytest.raises(TypeError, match=r"SeparateOrders; \w+ lacks close, .*refuse_orders$"):
        container.close_account()


async def test_separate_orders_are_closed_with_the_service() -> None:
    orders = InMemorySeparateOrders()
    container = Container(settings=SETTINGS, storage=InMemoryStorage(), orders=orders)
    async with container.running_service():
        assert not orders.closed
    assert orders.closed


async def test_throttle_counts_as_the_settings_say() -> None:
    settings = Settings(
        signing_secret=SECRET,
        sign_in_failures_per_account=2,
        sign_in_failures_per_address=3,
        sign_in_window_seconds=60,
    )
    throttle = Container(settings=settings).throttle()
    await guess(throttle, "alice", HERE)
    assert not await is_blocked(throttle, "alice", THERE)
    await guess(throttle, "alice", HERE)
    assert await is_blocked(throttle, "alice", THERE)
    assert not await is_blocked(throttle, "bob", HERE)
    await guess(throttle, "bob", HERE)
    assert await is_blocked(throttle, "carol", HERE)


def test_settings_choose_the_accepted_issuer() -> None:
    own = Container(settings=SETTINGS)
    assert own.verifier() is own.tokens()
    other = Container(settings=Settings(jwks_url="https://id.example/jwks"))
    assert other.verifier() is other.external_tokens()


def test_container_requires_settings() -> None:
    with pytest.raises(Error, match="is not an instance of"):
        Container(settings="no settings").settings()


def test_key_waits_for_its_tokens_and_for_the_last_process_to_notice() -> None:
    settings = SETTINGS.model_copy(update={"access_token_seconds": 900, "leeway_seconds": 5})
    schedule = Container(settings=settings).key_schedule()
    assert schedule.cache_time == timedelta(minutes=5)
    assert schedule.token_time == timedelta(seconds=900 + 5 + 2)

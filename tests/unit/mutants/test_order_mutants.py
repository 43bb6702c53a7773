"""Faults of repositories of orders."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from ordergate.adapters.memory import InMemoryOrderRepository, Tables
from ordergate.adapters.memory.orders import InMemoryStaffOrders
from ordergate.application.errors import OrderIdTaken
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery, Position
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import UserId
from tests.unit.mutants.kit import caught_by

# Reading


@caught_by("test_order_of_another_owner_is_not_found")
class ReadsTheOrdersOfAnyOwner(InMemoryOrderRepository):
    """The owner is not in the condition."""

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        orders = self._tables.orders.values()
        return next((order for order in orders if order.id == order_id), None)


@caught_by("test_change_by_another_process_is_visible")
class CachesOrders(InMemoryOrderRepository):
    """Another process changes the order, and this one keeps the old status."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._cache: dict[tuple[UserId, OrderId], Order] = {}

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        if (owner, order_id) not in self._cache:
            if (order := await super().get_owned(order_id, owner=owner)) is None:
                return None
            self._cache[owner, order_id] = order
        return self._cache[owner, order_id]

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        self._cache.pop((owner, order_id), None)
        return await super().update(order_id, owner=owner, change=change)


@caught_by("test_owner_gets_the_whole_order")
class LosesMicroseconds(InMemoryOrderRepository):
    """The column keeps milliseconds."""

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        order = await super().get_owned(order_id, owner=owner)
        return order and _in_milliseconds(order)


def _in_milliseconds(order: Order) -> Order:
    at = order.placed_at
    return replace(order, placed_at=at.replace(microsecond=at.microsecond // 1000 * 1000))


# Listing


class _Pages(InMemoryOrderRepository):
    """Lists by what subclasses say."""

    def _before(self, order: Order, before: Position) -> bool:
        return (order.placed_at, order.id) < (before.placed_at, before.id)

    def _since(self, order: Order, since: datetime) -> bool:
        return order.placed_at >= since

    def _of_status(self, order: Order, status: OrderStatus) -> bool:
        return order.status is status

    def _place(self, order: Order) -> tuple[object, ...]:
        return order.placed_at, order.id

    def _sorted(self, orders: list[Order]) -> list[Order]:
        return sorted(orders, key=self._place, reverse=True)

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        orders = [
            order
            for order in self._tables.orders.values()
            if order.owner == owner
            and (query.status is None or self._of_status(order, query.status))
            and (query.since is None or self._since(order, query.since))
            and (query.before is None or self._before(order, query.before))
        ]
        return self._sorted(orders)[: query.limit]


@caught_by("test_own_orders_are_listed_newest_first", "test_pages_have_every_order_once")
class SortsByTimeAlone(_Pages):
    """Orders of one time have any order."""

    def _place(self, order: Order) -> tuple[object, ...]:
        return (order.placed_at,)


@caught_by("test_ids_of_any_length_are_distinct_and_sorted")
class SortsIdsAsText(_Pages):
    """`10` is listed before `9`."""

    def _place(self, order: Order) -> tuple[object, ...]:
        return order.placed_at, str(order.id)


@caught_by("test_pages_have_every_order_once")
class RepeatsTheOrderAtThePosition(_Pages):
    """`before` is inclusive."""

    def _before(self, order: Order, before: Position) -> bool:
        return (order.placed_at, order.id) <= (before.placed_at, before.id)


@caught_by("test_pages_have_every_order_once")
class SkipsOrdersOfTheSameTime(_Pages):
    """Only times are compared with the position."""

    def _before(self, order: Order, before: Position) -> bool:
        return order.placed_at < before.placed_at


@caught_by("test_pages_have_every_order_once")
class ComparesTimeAndIdApart(_Pages):
    """An earlier order with a larger id is on no page."""

    def _before(self, order: Order, before: Position) -> bool:
        return order.placed_at <= before.placed_at and order.id < before.id


@caught_by("test_page_is_filtered_by_status_and_time", "test_page_accepts_the_first_and_last_time")
class LeavesOutOrdersPlacedAtSince(_Pages):
    """`since` is exclusive."""

    def _since(self, order: Order, since: datetime) -> bool:
        return order.placed_at > since


@caught_by("test_page_is_full_while_there_are_more_orders")
class FiltersAfterTheLimit(_Pages):
    """A page of one status is empty if the newest orders differ."""

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        page = await super().list_owned(replace(query, status=None), owner=owner)
        return [order for order in page if query.status in {None, order.status}]


@caught_by("test_page_is_full_while_there_are_more_orders")
class ReturnsTheOldestOrders(_Pages):
    """The limit is applied before the page is sorted."""

    def _sorted(self, orders: list[Order]) -> list[Order]:
        return super()._sorted(orders[:3])


@caught_by("test_page_is_full_while_there_are_more_orders")
class CountsThePositionIntoTheLimit(_Pages):
    """The order at the position is read, counted and left out."""

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        limit = query.limit - (query.before is not None)
        return await super().list_owned(replace(query, limit=limit), owner=owner)


@caught_by("test_update_stores_the_change")
class ListsByTheStatusAtPlacing(InMemoryOrderRepository):
    """The index by status is not updated."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._statuses: dict[tuple[UserId, OrderId], str] = {}

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        order = await self.get_owned(order_id, owner=owner)
        if order:
            self._statuses.setdefault((owner, order_id), order.status)
        return await super().update(order_id, owner=owner, change=change)

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        page = await super().list_owned(replace(query, status=None, limit=10**6), owner=owner)
        found = [
            order
            for order in page
            if query.status in {None, self._statuses.get((owner, order.id), order.status)}
        ]
        return found[: query.limit]


# Placing


class _Adding(InMemoryOrderRepository):
    """Places orders by what subclasses say."""

    async def _pause(self) -> None:
        pass

    def _key(self, owner: UserId, key: IdempotencyKey) -> tuple[UserId, str]:
        return owner, key.value

    def _stands(self, expires_at: datetime, at: datetime) -> bool:
        return expires_at > at

    def _may_order(self, owner: UserId) -> bool:
        return owner in self._tables.users or owner in self._tables.external

    def _is_same(self, there: Order, order: Order) -> bool:
        return there.as_placed == order.as_placed

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        tables = self._tables
        if order.owner != owner:
            raise ValueError("the order has another owner")
        if not self._may_order(owner):
            return None
        if key and (known := tables.keys.get(self._key(owner, key))):
            order_id, expires_at = known
            if self._stands(expires_at, order.placed_at):
                return tables.orders.get((owner, order_id))
        await self._pause()
        there = tables.orders.setdefault((owner, order.id), order)
        if not self._is_same(there, order):
            raise OrderIdTaken
        if key and there is order:
            tables.keys[self._key(owner, key)] = order.id, key.expires_at
        return there


@caught_by(
    "test_parallel_orders_with_one_key_are_placed_once",
    "test_parallel_orders_with_one_key_are_placed_once_in_two_processes",
)
class LooksForAKeyBeforeItWrites(_Adding):
    """Each of many finds no key."""

    async def _pause(self) -> None:
        await asyncio.sleep(0)


@caught_by("test_expired_key_may_be_used_again")
class KeepsAKeyThatExpires(_Adding):
    """A key is still valid at `expires_at`."""

    def _stands(self, expires_at: datetime, at: datetime) -> bool:
        return expires_at >= at


@caught_by("test_key_identifies_one_order")
class LetsKeysExpireOnTheSameDay(_Adding):
    """Only dates are compared."""

    def _stands(self, expires_at: datetime, at: datetime) -> bool:
        return expires_at.date() > at.date()


@caught_by("test_keys_are_separate_for_each_owner", "test_joined_values_are_not_confused")
class SharesKeysAmongOwners(_Adding):
    """The key is unique without its owner."""

    def _key(self, owner: UserId, key: IdempotencyKey) -> tuple[UserId, str]:
        return UserId(1), key.value


@caught_by("test_keys_are_compared_exactly[A wish]")
class ComparesKeysWithoutCase(_Adding):
    """A collation without case."""

    def _key(self, owner: UserId, key: IdempotencyKey) -> tuple[UserId, str]:
        return owner, key.value.lower()


@caught_by("test_keys_are_compared_exactly[a wish ]")
class ComparesKeysWithoutSpacesAtTheEnd(_Adding):
    """A column of type `CHAR`."""

    def _key(self, owner: UserId, key: IdempotencyKey) -> tuple[UserId, str]:
        return owner, key.value.rstrip()


@caught_by("test_keys_that_differ_in_the_last_character_are_different[255]")
class ComparesTheFirst64CharactersOfKeys(_Adding):
    """The column is shorter than a key."""

    def _key(self, owner: UserId, key: IdempotencyKey) -> tuple[UserId, str]:
        return owner, key.value[:64]


@caught_by("test_add_refuses_an_order_of_a_closed_account")
class PlacesOrdersForClosedAccounts(_Adding):
    """A closed account is an account."""

    def _may_order(self, owner: UserId) -> bool:
        return self._tables.has_account(owner)


@caught_by("test_external_account_places_orders")
class RefusesOrdersOfSubjects(_Adding):
    """Only accounts with a password may order."""

    def _may_order(self, owner: UserId) -> bool:
        return owner in self._tables.users


@caught_by("test_repeated_placement_returns_an_order_that_changed_since")
class TakesAChangedOrderForAnother(_Adding):
    """A repeated attempt fails once the order has changed."""

    def _is_same(self, there: Order, order: Order) -> bool:
        return there == order


@caught_by("test_id_is_taken_when_the_owner_has_used_it")
class TakesAnyOrderOfTheIdForTheSame(_Adding):
    """`INSERT ... ON CONFLICT DO NOTHING`, and the stored order is returned."""

    def _is_same(self, there: Order, order: Order) -> bool:
        return True


@caught_by("test_order_with_any_difference_is_another_order[placed_at]")
class ComparesOnlyTheLinesOfOrders(_Adding):
    """An order placed at another time is taken for the same."""

    def _is_same(self, there: Order, order: Order) -> bool:
        return there.lines == order.lines


@caught_by("test_order_with_any_difference_is_another_order[lines in another order]")
class ComparesTheTotalsOfOrders(_Adding):
    """The same lines in another order are taken for the same."""

    def _is_same(self, there: Order, order: Order) -> bool:
        return (there.placed_at, there.total) == (order.placed_at, order.total)


@caught_by("test_id_is_taken_when_the_owner_has_used_it")
class KeepsTheKeyOfARefusedOrder(InMemoryOrderRepository):
    """The key is stored first, and stays when the order is refused."""

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        try:
            return await super().add(order, owner=owner, key=key)
        except OrderIdTaken:
            if key:
                self._tables.keys[owner, key.value] = order.id, key.expires_at
            raise


@caught_by("test_repeated_placement_adds_no_key")
class GivesAKeyToAnOrderThatIsThere(InMemoryOrderRepository):
    """An order placed without a key gets one from a repeated attempt."""

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        added = await super().add(order, owner=owner, key=key)
        if added and key:
            self._tables.keys[owner, key.value] = added.id, key.expires_at
        return added


@caught_by("test_key_returns_the_current_state_of_its_order")
class StoresTheAnswerWithTheKey(InMemoryOrderRepository):
    """A repeated attempt gets the order as it was placed."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._answers: dict[tuple[UserId, str], Order] = {}

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        added = await super().add(order, owner=owner, key=key)
        if added and key:
            return self._answers.setdefault((owner, key.value), added)
        return added


@caught_by("test_write_is_atomic_when_it_is_cancelled[place_an_order_with_a_key]")
class StoresTheKeyInASecondStep(InMemoryOrderRepository):
    """A client that disconnects leaves an order without its key."""

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        added = await super().add(order, owner=owner, key=key)
        if key and added is order:
            stored = self._tables.keys.pop((owner, key.value))
            await asyncio.sleep(0)
            self._tables.keys[owner, key.value] = stored
        return added


# Changing


@caught_by(
    "test_parallel_updates_of_one_version_change_it_once",
    "test_parallel_updates_of_an_order_lose_no_change",
)
class ReadsAnOrderBeforeItWrites(InMemoryOrderRepository):
    """The later of two changes overwrites the first."""

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        order = self._tables.orders.get((owner, order_id))
        await asyncio.sleep(0)
        if order is None:
            return None
        changed = change(order)
        changed = replace(order, status=changed.status, version=changed.version)
        self._tables.orders[owner, order_id] = changed
        return changed


@caught_by("test_parallel_updates_of_an_order_lose_no_change")
class ComparesTheStatusBeforeItWrites(InMemoryOrderRepository):
    """A change that keeps the status goes unnoticed."""

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        orders = self._tables.orders
        while order := orders.get((owner, order_id)):
            await asyncio.sleep(0)
            changed = change(order)
            if orders[owner, order_id].status is order.status:
                changed = replace(order, status=changed.status, version=changed.version)
                orders[owner, order_id] = changed
                return changed
        return None


@caught_by("test_order_keeps_all_but_status_and_version")
class StoresTheWholeChange(InMemoryOrderRepository):
    """Lines and time may change too."""

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        order = self._tables.orders.get((owner, order_id))
        if order is None:
            return None
        changed = self._tables.orders[owner, order_id] = change(order)
        return changed


@caught_by("test_update_does_not_change_the_order_of_another_owner")
class ChangesTheOrdersOfAnyOwner(InMemoryOrderRepository):
    """The owner is not in the condition."""

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        owners = [owner, *(each for each, some in self._tables.orders if some == order_id)]
        return await super().update(order_id, owner=owners[-1], change=change)


@caught_by("test_update_returns_an_order_that_does_not_change")
class TakesNoChangeForNoOrder(InMemoryOrderRepository):
    """MySQL counts no row where the new values are the old ones."""

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        order = await self.get_owned(order_id, owner=owner)
        changed = await super().update(order_id, owner=owner, change=change)
        return None if changed == order else changed


@caught_by("test_update_changes_nothing_when_the_change_raises")
class HidesThatAChangeIsRefused(InMemoryOrderRepository):
    """An exception of `change` is returned as an order."""

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        with suppress(Exception):
            return await super().update(order_id, owner=owner, change=change)
        return None


# Purging


@caught_by("test_expired_keys_are_purged", "test_parallel_purges_count_each_key_once")
class ForgetsKeysWithoutALimit(InMemoryOrderRepository):
    """One call removes all of them."""

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        return await super().purge_expired_keys(expired_by=expired_by, limit=10**6)


@caught_by("test_expired_keys_are_purged")
class KeepsKeysThatExpireThen(InMemoryOrderRepository):
    """`expired_by` is exclusive."""

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        keys = self._tables.keys
        expired = [key for key, (_, at) in keys.items() if at < expired_by][:limit]
        for key in expired:
            del keys[key]
        return len(expired)


@caught_by("test_expired_keys_are_purged")
class ForgetsOrdersWithTheirKeys(InMemoryOrderRepository):
    """`ON DELETE CASCADE` in the wrong direction."""

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        before = dict(self._tables.keys)
        count = await super().purge_expired_keys(expired_by=expired_by, limit=limit)
        for owner, value in before.keys() - self._tables.keys.keys():
            del self._tables.orders[owner, before[owner, value][0]]
        return count


@caught_by("test_key_that_is_used_again_is_kept_by_parallel_purges")
class ForgetsKeysByAnEarlierList(InMemoryOrderRepository):
    """A key on the list is used again before it is removed."""

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        keys = self._tables.keys
        expired = [key for key, (_, at) in keys.items() if at <= expired_by][:limit]
        await asyncio.sleep(0)
        return len([key for key in expired if keys.pop(key, None)])


# Staff


@caught_by(
    "test_staff_orders_return_the_owners_of_an_id", "test_loaded_orders_are_used_like_placed_ones"
)
class FindsOneOwner(InMemoryStaffOrders):
    """Ids are taken for unique."""

    async def list_owners(self, order_id: OrderId) -> Sequence[UserId]:
        return (await super().list_owners(order_id))[:1]

"""Orders in one Valkey, each under a key that begins with its owner."""

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as TimedOut

from ordergate.application.errors import (
    AccountHasOpenOrders,
    OrderIdTaken,
    OutcomeUnknown,
    RecordUnreadable,
    StorageUnavailable,
)
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery
from ordergate.application.ports.storage import SeparateOrders
from ordergate.domain.money import Money
from ordergate.domain.order import Order, OrderId, OrderLine
from ordergate.domain.user import UserId

_SCRIPT = Path(__file__).with_suffix(".lua").read_text()
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_log = logging.getLogger("ordergate.storage")


class ValkeyOrderRepository(SeparateOrders):
    """Calls `orders.lua`: one step for a method, two for `update`."""

    def __init__(self, url: str) -> None:
        # The client repeats nothing: a step whose answer was lost may have been done.
        self._valkey: Any = Redis.from_url(
            url, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0)
        )
        self._script: Any = self._valkey.register_script(_SCRIPT)

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        stored = await _read(self._valkey.get(f"{owner}:order:{order_id:019}"))
        return _decode(owner, order_id, stored) if stored else None

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        page: list[Order] = []
        before = query.before
        newest = f"({_place(before.placed_at, before.id)}" if before else "+"
        oldest = f"[{_digits(query.since)}" if query.since else "-"
        while True:
            wanted = query.limit - len(page)
            step = self._step("page", owner, query.status or "", newest, oldest, wanted)
            for place, stored in (found := await _read(step)):
                try:
                    page.append(_decode(owner, OrderId(int(place[20:])), stored))
                except RecordUnreadable as error:
                    _log.error("%s", error)
            if len(found) < wanted or len(page) == query.limit:
                return page
            newest = f"({found[-1][0]}"

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        if order.owner != owner:
            raise ValueError("the order is of another owner")
        named = (key.value, _digits(key.expires_at)) if key else ("", "")
        result, *found = await _write(self._step("add", owner, *_row(order), *named))
        if result == "refused":
            return None
        stored = _decode(owner, OrderId(int(found[0])), found[1])
        if result == "stored" and stored.as_placed != order.as_placed:
            raise OrderIdTaken
        return stored

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        while stored := await _read(self._valkey.get(f"{owner}:order:{order_id:019}")):
            order = _decode(owner, order_id, stored)
            changed = change(order)
            changed = replace(order, status=changed.status, version=changed.version)
            place, *row = _row(changed)
            if await _write(self._step("replace", owner, place, stored, str(order.status), *row)):
                return changed
        return None

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        before = f"{int(_digits(expired_by)) + 1:020}"
        return int(await _write(self._step("purge", "", before, limit)))

    async def list_owners(self, order_id: OrderId) -> Sequence[UserId]:
        found = await _read(self._valkey.smembers(f"owners:{order_id:019}"))
        return [UserId(int(owner)) for owner in found]

    async def refuse_orders(self, owner: UserId, *, until: datetime) -> None:
        if not await _write(self._step("refuse", owner, _digits(until))):
            raise AccountHasOpenOrders

    async def ping(self) -> None:
        await _read(self._valkey.ping())

    async def close(self) -> None:
        await self._valkey.aclose()

    def _step(self, name: str, *arguments: object) -> Any:
        return self._script(args=[name, *map(str, arguments)])


async def _read(answer: Awaitable[Any], lost: type[Exception] = StorageUnavailable) -> Any:
    try:
        return await answer
    except RedisError as error:
        is_lost = isinstance(error, ConnectionLost | TimedOut)
        raise (lost if is_lost else StorageUnavailable)(f"Valkey: {error}") from None


def _write(answer: Awaitable[Any]) -> Awaitable[Any]:
    return _read(answer, lost=OutcomeUnknown)


def _digits(at: datetime) -> str:
    return f"{(at - _BEGINNING) // _MICROSECOND:020}"


def _place(at: datetime, order_id: int) -> str:
    return f"{_digits(at)}{order_id:019}"


def _row(order: Order) -> tuple[str, str, str, int]:
    lines = [(x.sku, x.name, x.quantity, x.unit_price.minor) for x in order.lines]
    values = [order.status, _digits(order.placed_at), order.version, order.currency, lines]
    place = _place(order.placed_at, order.id)
    return place, json.dumps(values), str(order.status), int(order.is_open)


def _decode(owner: UserId, order_id: OrderId, stored: str) -> Order:
    try:
        status, at, version, currency, lines = json.loads(stored)
        made = tuple(OrderLine(sku, name, n, Money(p, currency)) for sku, name, n, p in lines)
        placed_at = _BEGINNING + int(at) * _MICROSECOND
        return Order(order_id, owner, status, placed_at, made, version)
    except (TypeError, ValueError) as error:
        raise RecordUnreadable(f"order {order_id} of account {owner}", str(error)) from None

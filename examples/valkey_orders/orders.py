"""Orders in one Valkey, under keys that begin with the owner."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from pydantic import TypeAdapter
from redis import backoff, exceptions
from redis.asyncio import BlockingConnectionPool, Redis, retry

from ordergate.application import errors
from ordergate.application.ports.orders import IdempotencyKey, OrderQuery
from ordergate.application.ports.storage import SeparateOrders
from ordergate.domain.order import Order, OrderId
from ordergate.domain.user import UserId

T = TypeVar("T")
_JSON: TypeAdapter[Order | None] = TypeAdapter(Order | None)
_time = partial(datetime.isoformat, timespec="microseconds")
_TIME = 32  # the characters of such a time in UTC, which sorts as text
_log = logging.getLogger("ordergate.storage")


class ValkeyOrderRepository(SeparateOrders):
    """Changes orders in transactions, which start again when a watched key changes."""

    def __init__(self, url: str) -> None:
        # No lost connection is retried: a change whose answer was lost may have been made.
        never: Any = retry.Retry(backoff.NoBackoff(), 0, supported_errors=())
        pool = BlockingConnectionPool.from_url(url, decode_responses=True, retry=never)
        self._valkey: Any = Redis.from_pool(pool)

    async def get_owned(self, order_id: OrderId, *, owner: UserId) -> Order | None:
        return await _run(_get(self._valkey, f"{owner}:order:{order_id}"))

    async def list_owned(self, query: OrderQuery, *, owner: UserId) -> Sequence[Order]:
        page: list[Order] = []
        before, listed = query.before, f"{owner}:list:{query.status or ''}"
        newest = f"({_time(before.placed_at)}{before.id:019}" if before else "+"
        oldest = f"[{_time(query.since)}" if query.since else "-"
        while (wanted := query.limit - len(page)) and (
            places := await _run(self._valkey.zrevrangebylex(listed, newest, oldest, 0, wanted))
        ):
            newest = f"({places[-1]}"
            keys = [f"{owner}:order:{int(place[_TIME:])}" for place in places]
            for key, stored in zip(keys, await _run(self._valkey.mget(keys)), strict=True):
                try:
                    order = _JSON.validate_json(stored)
                    if order and query.status in {None, order.status}:  # it may have changed
                        page.append(order)
                except ValueError:
                    _log.error("%s is not the JSON of an order", key)
        return page

    async def add(
        self, order: Order, *, owner: UserId, key: IdempotencyKey | None = None
    ) -> Order | None:
        if order.owner != owner:
            raise ValueError("the order is of another owner")
        at, name = _time(order.placed_at), f"{owner}:key:{key.value if key else ''}"

        async def step(valkey: Any) -> Order | None:
            refused, known = [value or "" for value in await valkey.mget(f"{owner}:refused", name)]
            if at < refused:
                return None
            if at < known[:_TIME]:
                return await _get(valkey, f"{owner}:order:{known[_TIME:]}")
            if stored := await _get(valkey, f"{owner}:order:{order.id}"):
                if stored.as_placed != order.as_placed:
                    raise errors.OrderIdTaken
                return stored
            _store(valkey, order, new=order)
            valkey.sadd(f"owners:{order.id}", owner)
            if key:
                valkey.set(name, f"{_time(key.expires_at)}{order.id}")
                valkey.zadd("keys", {name: key.expires_at.timestamp()})
            return order

        return await self._change(step, f"{owner}:refused", name, f"{owner}:order:{order.id}")

    async def update(
        self, order_id: OrderId, *, owner: UserId, change: Callable[[Order], Order]
    ) -> Order | None:
        async def step(valkey: Any) -> Order | None:
            order = await _get(valkey, f"{owner}:order:{order_id}")
            return _store(valkey, order, new=change(order)) if order else None

        return await self._change(step, f"{owner}:order:{order_id}")

    async def purge_expired_keys(self, *, expired_by: datetime, limit: int) -> int:
        async def step(valkey: Any) -> int:
            names = await valkey.zrangebyscore("keys", "-inf", expired_by.timestamp(), 0, limit)
            valkey.multi()
            for name in names:
                valkey.zrem("keys", name).delete(name)
            return len(names)

        return await self._change(step, "keys")

    async def list_owners(self, order_id: OrderId) -> Sequence[UserId]:
        return [UserId(int(uid)) for uid in await _run(self._valkey.smembers(f"owners:{order_id}"))]

    async def refuse_orders(self, owner: UserId, *, until: datetime) -> None:
        async def step(valkey: Any) -> None:
            if await valkey.scard(f"{owner}:open"):
                raise errors.AccountHasOpenOrders
            latest = max(_time(until), await valkey.get(f"{owner}:refused") or "")
            valkey.multi()
            valkey.set(f"{owner}:refused", latest)

        await self._change(step, f"{owner}:refused", f"{owner}:open")

    async def ping(self) -> None:
        await _run(self._valkey.ping())

    async def close(self) -> None:
        await self._valkey.aclose()

    async def _change(self, step: Callable[[Any], Awaitable[T]], *watched: str) -> T:
        changed: Awaitable[T] = self._valkey.transaction(step, *watched, value_from_callable=True)
        return await _run(changed, lost=errors.OutcomeUnknown)


async def _run(answer: Awaitable[T], lost: type[Exception] = errors.StorageUnavailable) -> T:
    try:
        return await answer
    except exceptions.RedisError as error:
        is_lost = isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError)
        raise (lost if is_lost else errors.StorageUnavailable)(f"Valkey: {error}") from None


async def _get(valkey: Any, key: str) -> Order | None:
    try:
        return _JSON.validate_json(await valkey.get(key) or "null")
    except ValueError:
        raise errors.RecordUnreadable(f"record {key}", "not the JSON of an order") from None


def _store(valkey: Any, order: Order, *, new: Order) -> Order:
    place, listed = f"{_time(order.placed_at)}{order.id:019}", f"{order.owner}:list:"
    changed = replace(order, status=new.status, version=new.version)
    valkey.multi()
    valkey.set(f"{order.owner}:order:{order.id}", _JSON.dump_json(changed))
    valkey.zrem(f"{listed}{order.status}", place)
    valkey.zadd(listed, {place: 0}).zadd(f"{listed}{changed.status}", {place: 0})
    (valkey.sadd if changed.is_open else valkey.srem)(f"{order.owner}:open", order.id)
    return changed

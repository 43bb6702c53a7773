"""Limits on the requests that one user has in progress."""

from asyncio import Semaphore
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from ordergate.application.errors import TooManyRequests
from ordergate.domain.user import UserId


@dataclass(slots=True)
class _Turns:
    """The turns of one user, and the requests for them."""

    free: Semaphore
    requests: int = 0


class ConcurrencyLimit:
    """Limits the requests that a user has in progress.

    At most `under_way` requests of a user run at a time, and `waiting` more may wait. A client that
    disconnects leaves its request in progress, because a server cannot always notice the
    disconnection. Each process counts for itself, on one event loop.
    """

    def __init__(self, *, under_way: int, waiting: int) -> None:
        self._under_way = under_way
        self._bound = under_way + waiting
        self._turns: dict[UserId, _Turns] = {}

    def acquire(self, user: UserId) -> AbstractAsyncContextManager[None]:
        """Wait for a turn and hold it.

        Raises `TooManyRequests` when too many wait.
        """
        return _Turn(self, user)

    async def enter(self, user: UserId) -> None:
        """Wait for a turn, as `acquire` does. `leave` must follow."""
        turns = self._turns.get(user)
        if turns is None:
            turns = self._turns[user] = _Turns(Semaphore(self._under_way))
        if turns.requests >= self._bound:
            raise TooManyRequests
        turns.requests += 1
        try:
            await turns.free.acquire()
        except BaseException:
            self._forget(user, turns)
            raise

    def leave(self, user: UserId) -> None:
        """Pass the turn on to the next request."""
        turns = self._turns[user]
        turns.free.release()
        self._forget(user, turns)

    def _forget(self, user: UserId, turns: _Turns) -> None:
        turns.requests -= 1
        if not turns.requests:
            del self._turns[user]


class _Turn(AbstractAsyncContextManager[None]):
    """A turn of a user. A generator would be several times slower."""

    __slots__ = ("_limit", "_user")

    def __init__(self, limit: ConcurrencyLimit, user: UserId) -> None:
        self._limit = limit
        self._user = user

    async def __aenter__(self) -> None:
        await self._limit.enter(self._user)

    async def __aexit__(self, *_error: object) -> None:
        self._limit.leave(self._user)


def make_list_limit() -> ConcurrencyLimit:
    """Limit the lists of a user.

    A page of 200 orders uses a thread or a connection for milliseconds.
    """
    return ConcurrencyLimit(under_way=2, waiting=64)


def make_write_limit() -> ConcurrencyLimit:
    """Limit writes to fewer than a storage commits or queues."""
    return ConcurrencyLimit(under_way=64, waiting=192)

"""A bound on what one user has under way, so that no client takes a queue from all others."""

from asyncio import Semaphore
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from ordergate.application.errors import TooManyRequests
from ordergate.domain.user import UserId


@dataclass(slots=True)
class _Turns:
    """The turns of one user, and how many requests have or want one."""

    free: Semaphore
    requests: int = 0


class CallerLimit:
    """At most `under_way` requests of one user at a time; up to `waiting` more wait for a turn.

    A client that leaves without its answer leaves its request behind: nobody else can tell that
    the answer is not wanted. One process counts for itself, on one event loop.
    """

    def __init__(self, *, under_way: int, waiting: int) -> None:
        self._under_way = under_way
        self._bound = under_way + waiting
        self._turns: dict[UserId, _Turns] = {}

    def turn(self, user: UserId) -> AbstractAsyncContextManager[None]:
        """Wait for a turn and hold it. Raises `TooManyRequests` where too many wait already."""
        return _Turn(self, user)

    async def enter(self, user: UserId) -> None:
        """Wait for a turn, as `turn` does; `leave` must follow."""
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
        """Give the turn to the next request."""
        turns = self._turns[user]
        turns.free.release()
        self._forget(user, turns)

    def _forget(self, user: UserId, turns: _Turns) -> None:
        turns.requests -= 1
        if not turns.requests:
            del self._turns[user]


class _Turn(AbstractAsyncContextManager[None]):
    """A turn of a user; a generator in its place would cost each write several times as much."""

    __slots__ = ("_limit", "_user")

    def __init__(self, limit: CallerLimit, user: UserId) -> None:
        self._limit = limit
        self._user = user

    async def __aenter__(self) -> None:
        await self._limit.enter(self._user)

    async def __aexit__(self, *_error: object) -> None:
        self._limit.leave(self._user)


def reads_of_lists() -> CallerLimit:
    """Bound lists: a page of 200 orders holds a thread or a connection for milliseconds."""
    return CallerLimit(under_way=2, waiting=64)


def writes() -> CallerLimit:
    """Bound writes: fewer of one user than a storage commits or keeps waiting."""
    return CallerLimit(under_way=64, waiting=192)

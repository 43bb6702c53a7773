"""A bound on what one user has under way, so that no client takes a queue from all others."""

from asyncio import Semaphore
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from application.errors import TooManyRequests
from domain.user import UserId


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

    @asynccontextmanager
    async def turn(self, user: UserId) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises `TooManyRequests` where too many wait already."""
        turns = self._turns.get(user)
        if turns is None:
            turns = self._turns[user] = _Turns(Semaphore(self._under_way))
        if turns.requests >= self._bound:
            raise TooManyRequests
        turns.requests += 1
        try:
            async with turns.free:
                yield
        finally:
            turns.requests -= 1
            if not turns.requests:
                del self._turns[user]


def reads_of_lists() -> CallerLimit:
    """Bound lists: a page of 200 orders holds a thread or a connection for milliseconds."""
    return CallerLimit(under_way=2, waiting=64)


def writes() -> CallerLimit:
    """Bound writes: fewer of one user than a storage commits or keeps waiting."""
    return CallerLimit(under_way=64, waiting=192)

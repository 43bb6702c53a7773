"""How soon the access tokens of an ended session stop being believed."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from application.errors import InvalidToken
from application.ports.clock import Clock
from application.ports.sessions import SessionRepository
from application.ports.tokens import Caller
from domain.session import SessionId

_OVERLAP = timedelta(seconds=60)
"""How late an ending may be seen: clocks of hosts that differ, and commits that take their time."""


class Revocation(Protocol):
    """How soon the tokens of an ended session stop."""

    async def check(self, caller: Caller) -> None:
        """Raise `InvalidToken` for the caller of a session that is known to have ended."""


@dataclass(frozen=True, slots=True)
class UntilExpiry:
    """Tokens are believed until they expire; nothing is asked."""

    async def check(self, caller: Caller) -> None:
        """Let everybody through."""


@dataclass(frozen=True, slots=True)
class AtOnce:
    """The storage is asked at every request."""

    sessions: SessionRepository
    clock: Clock

    async def check(self, caller: Caller) -> None:
        """Ask whether the session is live."""
        if caller.session is None or not await self.sessions.is_live(
            caller.session, user=caller.id, at=self.clock.now()
        ):
            raise InvalidToken("its session has ended")


@dataclass(slots=True)
class WithinBound:
    """What ended is asked at most every `bound`, by the first request after it, and remembered.

    An ending that is stored is obeyed `bound` later at the latest, by every worker and host: a
    request that comes when the answer is older waits for a new one, and fails with
    `StorageUnavailable` rather than be believed. All that wait are told at once; were they let
    through one after the other, under load the last would wait for seconds. `lifetime` is the
    longest that a token is accepted; older endings are forgotten. `ticks` are seconds that only
    rise.
    """

    sessions: SessionRepository
    clock: Clock
    bound: timedelta
    lifetime: timedelta
    ticks: Callable[[], float] = time.monotonic
    _ended: dict[SessionId, datetime] = field(default_factory=dict)
    _asked_at: datetime | None = None
    _asked_at_tick: float = float("-inf")
    _asking: asyncio.Task[None] | None = None

    async def check(self, caller: Caller) -> None:
        """Look the session up among those that have ended."""
        # By a clock that nobody sets: the bound is one of time that passes.
        came_at_tick = self.ticks()
        while came_at_tick - self._asked_at_tick >= self.bound.total_seconds():
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask())
                self._asking.add_done_callback(self._answered)
            await asyncio.shield(self._asking)
        if caller.session is None or caller.session in self._ended:
            raise InvalidToken("its session has ended")

    def _answered(self, asking: asyncio.Task[None]) -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # it was told to those who wait, if anybody still does

    async def _ask(self) -> None:
        now, tick = self.clock.now(), self.ticks()
        oldest = now - self.lifetime - _OVERLAP
        asked_at = oldest if self._asked_at is None else min(now, self._asked_at)
        since = max(oldest, asked_at - _OVERLAP)
        known = self._ended | dict(await self.sessions.ended_since(since))
        self._ended = {session: at for session, at in known.items() if at > oldest}
        self._asked_at, self._asked_at_tick = now, tick

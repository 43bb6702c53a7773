"""Policies that refuse the access tokens of ended sessions."""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from ordergate.application.errors import InvalidToken
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.sessions import SessionCacheInspector, SessionRepository
from ordergate.application.ports.tokens import Caller
from ordergate.domain.session import SessionId
from ordergate.domain.user import UserId

_OVERLAP = timedelta(seconds=60)
"""The longest delay before an end is visible: clock differences of hosts, and slow commits."""


def _identify_nothing() -> Hashable:
    return None


def _refuse(caller: Caller, reason: str) -> InvalidToken:
    """Make the error of a verified token, with ids for the log."""
    issuer = caller.claims.get("iss")
    return InvalidToken(
        reason, kid=caller.key_id, issuer=issuer if isinstance(issuer, str) else None
    )


class RevocationPolicy(Protocol):
    """Decides how soon the tokens of an ended session are refused."""

    async def check(self, caller: Caller) -> None:
        """Raise `InvalidToken` if the session is known to have ended."""


@dataclass(frozen=True, slots=True)
class NoRevocation:
    """Accepts tokens until they expire, without a query."""

    async def check(self, caller: Caller) -> None:
        """Accept every caller."""


@dataclass(frozen=True, slots=True)
class ImmediateRevocation:
    """Queries the session at every request."""

    sessions: SessionRepository
    clock: Clock

    async def check(self, caller: Caller) -> None:
        """Check that the session is active."""
        if caller.session is None or not await self.sessions.is_active(
            caller.session, user=caller.id, at=self.clock.now()
        ):
            raise _refuse(caller, "its session has ended")


@dataclass(slots=True)
class BoundedRevocation(SessionCacheInspector):
    """Caches ended sessions and refreshes the cache at most once per `bound`.

    A stored revocation takes effect within `bound` on every worker and host. When the cache is
    stale, requests wait for one shared refresh and are released together; if it fails, they fail
    with `StorageUnavailable`. Released one after the other, the last would wait for seconds under
    load. `lifetime` is the longest that a token is accepted; older endings leave the cache. `ticks`
    is a monotonic clock in seconds.

    `identity` is that of the storage, first read when the policy is made. When it changes, all
    endings are read again before the next request, and each session is looked up once, as long as
    tokens issued before are valid: a session that began after the new storage was copied is unknown
    there, and the id of its user may be another user's.
    """

    sessions: SessionRepository
    clock: Clock
    bound: timedelta
    lifetime: timedelta
    ticks: Callable[[], float] = time.monotonic
    identity: Callable[[], Hashable] = _identify_nothing
    _ended: dict[SessionId, datetime] = field(default_factory=dict)
    _queried_at: datetime | None = None
    _refreshed_at: float = float("-inf")
    _refreshed_identity: Hashable = field(init=False)
    _refresh_task: asyncio.Task[None] | None = None
    _replaced_at: datetime | None = None
    _found: set[SessionId] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._refreshed_identity = self.identity()

    async def check(self, caller: Caller) -> None:
        """Look the session up among the ended ones."""
        # The monotonic clock measures the bound, because a wall clock can be set.
        arrived_at = self.ticks()
        while (
            arrived_at - self._refreshed_at >= self.bound.total_seconds()
            or self.identity() != self._refreshed_identity
        ):
            if self._refresh_task is None:
                self._refresh_task = asyncio.create_task(self._refresh())
                self._refresh_task.add_done_callback(self._on_refreshed)
            await asyncio.shield(self._refresh_task)
        if caller.session is None or caller.session in self._ended:
            raise _refuse(caller, "its session has ended")
        if self._replaced_at is not None and caller.session not in self._found:
            if not await self._find(caller.session, caller.id):
                raise _refuse(caller, "its session is not stored")
            self._found.add(caller.session)

    def get_age(self) -> float | None:
        """Return the seconds since the last refresh; `None` before the first."""
        if self._queried_at is None:
            return None
        return self.ticks() - self._refreshed_at

    async def _find(self, session: SessionId, user: UserId) -> bool:
        """Look up a session in a storage that replaced another."""
        return await self.sessions.is_active(session, user=user, at=self.clock.now())

    def _on_refreshed(self, task: asyncio.Task[None]) -> None:
        self._refresh_task = None
        if not task.cancelled():
            task.exception()  # the waiting requests have received it

    async def _refresh(self) -> None:
        now, tick, identity = self.clock.now(), self.ticks(), self.identity()
        if identity != self._refreshed_identity:
            self._replaced_at, self._queried_at = now, None
            self._found = set()
        oldest = now - self.lifetime - _OVERLAP
        queried_at = oldest if self._queried_at is None else min(now, self._queried_at)
        since = max(oldest, queried_at - _OVERLAP)
        known = self._ended | dict(await self.sessions.ended_since(since))
        self._ended = {session: at for session, at in known.items() if at > oldest}
        self._queried_at, self._refreshed_at = now, tick
        self._refreshed_identity = identity
        if self._replaced_at is not None and self._replaced_at <= oldest:
            self._replaced_at, self._found = None, set()

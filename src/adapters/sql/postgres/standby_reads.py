"""Reads from a standby where a request permits it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic, perf_counter
from typing import Any

from sqlalchemy import Connection, Select

from ordergate.adapters.sql.database import CheckedReader, Database, Rows, T, Values
from ordergate.adapters.sql.postgres.standby import BehindError, PostgresStandby, identify
from ordergate.adapters.sql.repositories.secret import SECRET
from ordergate.application.consistency import CURRENT
from ordergate.application.errors import StorageUnavailable

_SECONDS = 2.0
"""The time limit of a read at the standby, also of a connection to it."""

_PAUSE_SECONDS = 5.0
"""How long a standby that failed is left, before one read tries it."""

_IDENTITY_SECONDS = 5.0
"""How long the identity of the primary is trusted. A failover changes it."""

_log = logging.getLogger("ordergate.database")


class StandbyReads(CheckedReader):
    """Reads from a standby where a request permits it.

    The primary is read for all other requests, and when the standby is behind, busy or silent. One
    that failed is left for some seconds, and the log says so.
    """

    def __init__(self, primary: Database, standby: PostgresStandby) -> None:
        self._primary = primary
        self._standby = standby
        self._next_identification = float("-inf")
        self._next_try: float | None = None
        self._failures = 0

    async def rows(self, query: Select[Any], values: Values) -> Rows:
        """Return the rows of a query."""
        return await self._read(lambda database: database.rows(query, values))

    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run one reading statement."""
        return await self._read(lambda database: database.read(work, large=large, shared=shared))

    async def time_copy(self) -> float:
        """Read at the standby, again on the same connection."""
        self._standby.primary = await identify(self._primary)
        await self._standby.rows(SECRET, {})
        began = perf_counter()
        await self._standby.rows(SECRET, {})
        return perf_counter() - began

    async def close(self) -> None:
        """Close the connections to the standby."""
        await self._standby.close()

    async def _read(self, read: Callable[[Database], Awaitable[T]]) -> T:
        consistency = CURRENT.get()
        is_permitted = consistency is not None and consistency.needed is not None
        if is_permitted and await self._is_primary_known() and self._may_try():
            failures = self._failures
            try:
                async with asyncio.timeout(_SECONDS):
                    found = await read(self._standby)
            except BehindError:
                self._note_answer(failures)
            except TimeoutError:
                self._leave("no answer in time")
            except StorageUnavailable as error:
                self._leave(str(error))
            else:
                self._note_answer(failures)
                return found
        return await read(self._primary)

    async def _is_primary_known(self) -> bool:
        """Read the identity of the primary from time to time.

        Reads at the standby go on while the primary is away.
        """
        if monotonic() >= self._next_identification:
            self._next_identification = monotonic() + _IDENTITY_SECONDS
            with suppress(StorageUnavailable, TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    self._standby.primary = await identify(self._primary)
        return self._standby.primary is not None

    def _may_try(self) -> bool:
        load = self._standby.count_connections()
        if load.waiting or load.in_use >= load.limit:
            return False
        if self._next_try is None:
            return True
        now = monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + _PAUSE_SECONDS  # for the others; this one tries
        return True

    def _leave(self, reason: str) -> None:
        if self._next_try is None:
            _log.warning("read_database_left", extra={"reason": reason})
        self._next_try = monotonic() + _PAUSE_SECONDS
        self._failures += 1

    def _note_answer(self, failures: int) -> None:
        """Use the standby again, unless another read has failed since."""
        if self._next_try is not None and failures == self._failures:
            self._next_try = None
            _log.info("read_database_used_again")

"""Repetition of a server's jobs, and their errors."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import IntegrityError

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.server.errors import (
    AmbiguousCommitError,
    DriverErrors,
    SilentConnectionError,
    unwrap_cause,
)
from ordergate.application.errors import OutcomeUnknown, StorageUnavailable, UnstorableValue

MAX_ATTEMPTS = 5
"""The maximum of attempts of a job."""

_FIRST_PAUSE_SECONDS = 0.05


class Attempts:
    """Repeats jobs after transient failures, within the time of a statement.

    `on_silence` is called when a pooled connection did not answer in time. The job is repeated once
    then, with its whole time. `repetitions` counts the attempts after the first ones.
    """

    def __init__(
        self, errors: DriverErrors, *, statement_seconds: float, on_silence: Callable[[], None]
    ) -> None:
        self._errors = errors
        self._statement_seconds = statement_seconds
        self._on_silence = on_silence
        self.repetitions = 0
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, once: Callable[[], Awaitable[T]], *, repeatable: bool = False) -> T:
        """Run a job until it succeeds or fails permanently.

        Raises `StorageUnavailable`, `OutcomeUnknown` or `UnstorableValue` without the cause, which
        quotes the statement. SQLAlchemy's `IntegrityError` passes.
        """
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._repeat(once, repeatable=repeatable)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def wait_until_idle(self) -> None:
        """Wait for all running jobs."""
        await self._idle.wait()

    async def _repeat(self, once: Callable[[], Awaitable[T]], *, repeatable: bool) -> T:
        now, server = asyncio.get_running_loop().time, self._errors.server
        last = now() + self._statement_seconds
        words, ambiguous, silent = "", False, False
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await once()
            except IntegrityError:
                raise
            except SilentConnectionError as error:
                self._on_silence()
                ambiguous = ambiguous or error.ambiguous
                words = "no answer in time"
                again = not silent and (repeatable or not error.ambiguous)
                if again:
                    silent, last = True, now() + self._statement_seconds
                    self.repetitions += 1
                    continue
            except AmbiguousCommitError as error:
                words, again, ambiguous = str(error), repeatable, True
            except self._errors.failures as error:
                cause = unwrap_cause(error)
                if self._errors.is_unstorable(cause):
                    raise UnstorableValue(f"{server}: {self._errors.describe(cause)}") from None
                words = self._errors.describe(cause)
                again = self._errors.is_transient(cause)
            if not again or attempt == MAX_ATTEMPTS or now() > last:
                break
            pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
            await asyncio.sleep(secrets.SystemRandom().uniform(pause / 2, pause))
            self.repetitions += 1
        if ambiguous:
            raise OutcomeUnknown(
                f"{server}: {words}, and the change may or may not be stored; check before"
                " trying again"
            ) from None
        raise StorageUnavailable(f"{server}: {words}") from None

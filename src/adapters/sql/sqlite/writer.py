"""The only writer of a SQLite file in a process."""

import asyncio
import secrets
import sqlite3
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, cast

from sqlalchemy import Connection

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.sqlite.file import (
    BUSY_SECONDS,
    engine_errors,
    is_busy,
    unavailable,
)
from ordergate.adapters.sql.sqlite.watched_file import WatchedConnection, WatchedFile
from ordergate.adapters.sql.statement_spans import carry_trace, commit_group
from ordergate.application.errors import OutcomeUnknown, StorageUnavailable
from ordergate.application.ports.storage import GroupCommits

MAX_GROUP = 256
"""The maximum of jobs in one commit."""

MAX_WAITING = 10_000
"""The maximum of waiting jobs in this process."""

# A thread that waits for another process's lock asks for it again so often. SQLite's own waiting
# sleeps up to 100 ms at a time, and hardly ever wakes while the lock is free.
_RANDOM = secrets.SystemRandom()
_LEAST_POLL_SECONDS, _MOST_POLL_SECONDS = 0.0005, 0.001

# A writer that never runs out of works leaves the lock free for longer than a poll takes, so often.
_TURN_SECONDS, _PAUSE_SECONDS = 0.03, 0.002


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    loop: AbstractEventLoop
    future: "Future[Any]"
    generation: int
    result: Any = None
    error: BaseException | None = field(default=None)
    queued_at: float = field(default_factory=time.monotonic)

    def is_overdue(self) -> bool:
        return time.monotonic() > self.queued_at + BUSY_SECONDS

    def deliver(self) -> None:
        if self.future.done():  # its caller gave up
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SqliteWriter:
    """A thread with a queue and one connection to the current file.

    It begins a transaction, runs every waiting job in its own savepoint, and answers the callers,
    of any event loop, after the commit. A job that raises an error is rolled back alone. If the
    transaction fails, nothing is stored and each caller gets `StorageUnavailable`. A job that is
    cancelled before it starts is skipped. A job that was queued before a replacement of the file
    fails, so it does not change the new file.

    While another process holds the lock, each job waits for `BUSY_SECONDS` from its call, and
    expired jobs fail together.
    """

    def __init__(self, file: WatchedFile) -> None:
        self._file = file
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop = _GroupCommitLoop(file, self._jobs)
        self._thread = Thread(target=self._loop.run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run a job and return its result once it is on disk.

        Raises `StorageUnavailable` immediately when too many jobs wait.
        """
        if self._jobs.qsize() >= MAX_WAITING:
            raise StorageUnavailable(f"SQLite: {MAX_WAITING} writes wait already; try again later")
        loop = asyncio.get_running_loop()
        future: Future[T] = loop.create_future()
        self._jobs.put(_Job(carry_trace(work), loop, future, self._file.generation))
        return await future

    def count_commits(self) -> GroupCommits:
        """Count the commits by their jobs, and waiting jobs."""
        return GroupCommits(tuple(self._loop.sizes), self._jobs.qsize())

    async def close(self) -> None:
        """Finish all earlier jobs and release the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)


class _GroupCommitLoop:
    """The loop of the writing thread.

    `sizes[n]` is the number of commits with `n` jobs.
    """

    def __init__(self, file: WatchedFile, jobs: "SimpleQueue[_Job | None]") -> None:
        self.sizes = [0] * (MAX_GROUP + 1)
        self._file = file
        self._path = file.path
        self._jobs = jobs
        self._requeued: deque[_Job | None] = deque()
        self._connection = WatchedConnection(file, busy_seconds=0)
        self._last_yield_at = 0.0

    def run(self) -> None:
        """Commit group after group until `None` is in the queue."""
        while job := self._wait_for_job():
            group = [job]
            try:
                open_ended = self._commit(group)
            except Exception as error:  # noqa: BLE001 - a caller waits for any error
                self._connection.close()
                if is_busy(error):
                    group += self._pop_expired()
                for each in group:
                    each.error = unavailable(error, self._path)
                    each.error.__cause__ = error
                open_ended = True
            _deliver(group)
            if not open_ended:
                break
        self._connection.close()

    def _wait_for_job(self) -> _Job | None:
        """Wait for a job; yield the lock regularly while jobs are waiting."""
        with suppress(Empty):
            job = self._take()
            if time.monotonic() - self._last_yield_at > _TURN_SECONDS:
                time.sleep(_PAUSE_SECONDS)
                self._last_yield_at = time.monotonic()
            return job
        job = self._jobs.get()
        self._last_yield_at = time.monotonic()
        return job

    def _take(self) -> _Job | None:
        """Take a job without waiting. Raises `Empty`."""
        return self._requeued.popleft() if self._requeued else self._jobs.get_nowait()

    def _pop_expired(self) -> Iterator[_Job]:
        """Remove the expired jobs, which are first because all wait equally long."""
        with suppress(Empty):
            while (job := self._take()) and job.is_overdue():
                yield job
            self._requeued.append(job)

    def _commit(self, group: list[_Job]) -> bool:
        """Run and commit a group; return whether more jobs may come."""
        connection = self._begin(group[0])
        engine = _get_driver_connection(connection)
        self._run(connection, engine, group[0])
        open_ended = True
        while open_ended and len(group) < MAX_GROUP:
            try:
                job = self._take()
            except Empty:
                break
            if job is None:
                open_ended = False
            else:
                group.append(job)
                self._run(connection, engine, job)
        commit_group(lambda: engine.execute("COMMIT"), (each.work for each in group))
        self.sizes[len(group)] += 1
        if not self._connection.is_current():
            raise OutcomeUnknown(
                f"SQLite: {self._path} was replaced or removed during a change, which may be"
                " missing from it; check before trying again"
            )
        return open_ended

    def _begin(self, first: _Job) -> Connection:
        """Take the write lock.

        Raises the engine's error if another process holds it.
        """
        while True:
            try:
                connection = self._connect()
                _get_driver_connection(connection).execute("BEGIN IMMEDIATE")
            except Exception as error:
                if not is_busy(error) or first.is_overdue():
                    raise
                time.sleep(_RANDOM.uniform(_LEAST_POLL_SECONDS, _MOST_POLL_SECONDS))
            else:
                return connection

    def _connect(self) -> Connection:
        connection = self._connection.current()
        if not connection.in_transaction():
            connection.begin()  # for Alembic, which would begin a transaction otherwise
        return connection

    def _run(self, connection: Connection, engine: sqlite3.Connection, job: _Job) -> None:
        if job.future.cancelled():
            return
        if job.generation != self._file.generation:
            job.error = self._file.replaced()
            return
        engine.execute("SAVEPOINT work")
        try:
            with engine_errors(self._path):
                job.result = job.work(connection)
        except Exception as error:
            job.error = error
            if not engine.in_transaction:
                raise  # the engine has rolled back more than this job
            engine.execute("ROLLBACK TO work")
        engine.execute("RELEASE work")


def _get_driver_connection(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def _deliver(group: list[_Job]) -> None:
    """Wake each event loop once for all its callers."""
    of_loops: dict[AbstractEventLoop, list[_Job]] = {}
    for job in group:
        of_loops.setdefault(job.loop, []).append(job)
    for loop, jobs in of_loops.items():
        with suppress(RuntimeError):  # the loop is closed, so no caller waits
            loop.call_soon_threadsafe(_deliver_all, jobs)


def _deliver_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.deliver()

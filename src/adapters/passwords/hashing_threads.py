"""Threads that hash passwords in turn and yield to the event loop."""

import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from ordergate.adapters.passwords.fair_queue import FairQueue
from ordergate.adapters.passwords.lane import Job, Lane
from ordergate.adapters.passwords.starvation import Starvation, Usage
from ordergate.adapters.system.background import run_at_idle_priority
from ordergate.adapters.system.tracing import CURRENT
from ordergate.application.errors import Overloaded, Throttled
from ordergate.application.ports.passwords import HashingLoad, Requester

T = TypeVar("T")

_PER_ACCOUNT = 10
"""The maximum of waiting and running jobs of one account."""
_UNNAMED = Requester("", "", "", known=True)


def _queue_path(requester: Requester) -> tuple[str, str, bool, str]:
    return requester.customer, requester.network, requester.known, requester.account


class HashingThreads:
    """Runs `threads` jobs at a time for one event loop.

    Up to `queue` more jobs may wait.

    Jobs wait in a `FairQueue`, which takes turns between customers, then between their networks,
    then between known and unknown clients, then between accounts. A job without a place, or one
    that is displaced, raises `Overloaded`. An eleventh job of an account raises `Throttled`; known
    clients are counted apart. A job may run twice, so its result must be its only effect.

    With `low_priority`, on Linux, the threads have the idle scheduling class: they run while a
    processor is idle, so the event loop never waits for them. They yield to other programs too, so
    their progress is measured. A starved job starts a second time on a thread of normal priority,
    and the first result counts. There are half as many of these threads. If this service alone uses
    the processors, such jobs get a tenth of one processor. A job starts again instead of moving,
    because only a privileged process can move a thread out of the idle class.
    """

    def __init__(self, *, threads: int, queue: int, low_priority: bool) -> None:
        watched = low_priority and sys.platform == "linux"
        self._yielding = Lane(threads, "hashing", run_at_idle_priority if low_priority else None)
        self._competing = Lane(max(1, threads // 2), "hashing-starved") if watched else None
        self._waiting: FairQueue[Job] = FairQueue(queue)
        self._under_way: Counter[tuple[str, bool]] = Counter()
        self._seconds_a_job = 0.0
        self._starvation = Starvation()
        self._watch: asyncio.TimerHandle | None = None

    def count_jobs(self) -> HashingLoad:
        """Count the running and the waiting jobs."""
        running = len(self._yielding.jobs) + (len(self._competing.jobs) if self._competing else 0)
        return HashingLoad(
            threads=self._yielding.threads,
            busy=running,
            queue=self._waiting.bound,
            waiting=len(self._waiting),
        )

    async def run(self, work: Callable[[], T], requester: Requester | None = None) -> T:
        """Return the result of a job, or raise its error."""
        job = Job(work, requester or _UNNAMED, asyncio.get_running_loop().create_future())
        if (trace := CURRENT.get()) is None:
            await self._run(job)
        else:
            queued_at = time.monotonic()
            with trace.begin("hash password", {}) as span:
                try:
                    await self._run(job)
                finally:
                    queued = (job.started_at or time.monotonic()) - queued_at
                    span.add({"ordergate.hashing.queue_seconds": queued})
        result: T = job.answer.result()
        return result

    async def _run(self, job: Job) -> None:
        account = job.requester.account, job.requester.known
        if job.requester is not _UNNAMED and self._under_way[account] >= _PER_ACCOUNT:
            raise Throttled(retry_after=self._estimate_seconds_until_room())
        self._put(job)
        self._under_way[account] += 1
        try:
            self._start_jobs()
            await job.answer
        finally:
            self._waiting.discard(job, _queue_path(job.requester))
            self._under_way[account] -= 1
            if not self._under_way[account]:
                del self._under_way[account]

    def close(self) -> None:
        """Stop the threads after their current jobs, and cancel the waiting ones.

        A later job starts new threads, perhaps for another event loop.
        """
        while self._waiting:
            self._waiting.take().answer.cancel()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._yielding.close()
        if self._competing is not None:
            self._competing.close()

    def _put(self, job: Job) -> None:
        if self._waiting.is_full and not self._yielding.has_room:
            displaced = self._waiting.make_room_for(_queue_path(job.requester))
            overloaded = Overloaded(retry_after=self._estimate_seconds_until_room())
            if displaced is None:
                raise overloaded
            if not displaced.answer.done():
                displaced.answer.set_exception(overloaded)
        self._waiting.put(job, _queue_path(job.requester))

    def _start_jobs(self) -> None:
        """Start as many jobs as there are free threads."""
        while self._waiting and (lane := self._find_competing_lane()):
            self._start_competing(self._waiting.take(), lane)
        while self._waiting and self._yielding.has_room:
            if not self._yielding.jobs:
                self._watch_from_now()
            self._start(self._waiting.take(), self._yielding)
        if self._watch is None and self._under_way:
            self._watch_from_now()

    def _start(self, job: Job, lane: Lane) -> None:
        loop = job.answer.get_loop()
        job.started_at = job.started_at or time.monotonic()

        def finish(future: "Future[Any]") -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._end, job, future)

        lane.start(job, self._with_timer(job.work)).add_done_callback(finish)

    def _with_timer(self, work: Callable[[], T]) -> Callable[[], T]:
        def run() -> T:
            started = time.thread_time()
            try:
                return work()
            finally:
                self._seconds_a_job = time.thread_time() - started

        return run

    def _end(self, job: Job, future: "Future[Any]") -> None:
        if not job.answer.done():
            if future.cancelled():
                job.answer.cancel()
            elif (error := future.exception()) is not None:
                job.answer.set_exception(error)
            else:
                job.answer.set_result(future.result())
        self._start_jobs()

    # The watch runs while jobs wait for idle threads, and measures their processor time.

    def _watch_from_now(self) -> None:
        if self._competing is None:
            return
        if self._watch is not None:
            self._watch.cancel()
        seconds = self._starvation.start_window(self._measure(), job_seconds=self._seconds_a_job)
        self._watch = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Start a job again if the idle threads are starved."""
        self._watch = None
        unanswered = [job for job in self._yielding.jobs if not job.answer.done()]
        if not unanswered and not self._waiting:
            return
        if lane := self._find_competing_lane():
            again = [job for job in unanswered if job not in lane.jobs]
            if again or self._waiting:
                self._start_competing(again[0] if again else self._waiting.take(), lane)
        self._watch_from_now()

    def _measure(self) -> Usage:
        yielding = self._yielding.processor_seconds()
        competing = self._competing.processor_seconds() if self._competing else 0.0
        return Usage(time.monotonic(), yielding, time.process_time() - yielding - competing)

    def _find_competing_lane(self) -> Lane | None:
        """Return the threads of normal priority if the idle ones are starved."""
        if not (self._competing and self._competing.has_room and self._yielding.jobs):
            return None
        is_allowed = self._starvation.allows_competing(
            self._measure(), job_seconds=self._seconds_a_job
        )
        return self._competing if is_allowed else None

    def _start_competing(self, job: Job, lane: Lane) -> None:
        self._starvation.note_competing(self._measure())
        self._start(job, lane)

    def _estimate_seconds_until_room(self) -> int:
        return max(1, math.ceil(self._seconds_a_job / self._yielding.threads))

"""Threads of one scheduling class, and the jobs that run on them."""

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from ordergate.application.ports.passwords import Requester

T = TypeVar("T")


@dataclass(eq=False)
class Job:
    """The work of a requester, and the future of its result.

    `started_at` is the time of its first start, in seconds of `time.monotonic`.
    """

    work: Callable[[], Any]
    requester: Requester
    answer: "asyncio.Future[Any]"
    started_at: float | None = None


class Lane:
    """Threads that run `prepare` when they start."""

    def __init__(self, threads: int, name: str, prepare: Callable[[], None] | None = None) -> None:
        self.threads = threads
        self._name = name
        self._prepare = prepare
        self._clocks: list[int] = []
        self._running: dict[Future[Any], Job] = {}
        self._pool: ThreadPoolExecutor | None = None

    @property
    def jobs(self) -> Sequence[Job]:
        """The running jobs, the longest first."""
        for future in [future for future in self._running if future.done()]:
            del self._running[future]
        return list(self._running.values())

    @property
    def has_room(self) -> bool:
        """Whether a thread is free."""
        return len(self.jobs) < self.threads

    def start(self, job: Job, work: Callable[[], T]) -> "Future[T]":
        """Run the job on a free thread, which the caller has checked."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self.threads, thread_name_prefix=self._name, initializer=self._initialize
            )
        future = self._pool.submit(work)
        self._running[future] = job
        return future

    def processor_seconds(self) -> float:
        """Return the processor time of the threads since their start."""
        return math.fsum(map(time.clock_gettime, self._clocks))

    def close(self) -> None:
        """Stop the threads after their current jobs; a later job restarts them."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        self._clocks = []  # a clock ends with its thread

    def _initialize(self) -> None:
        if self._prepare is not None:
            self._prepare()
        if sys.platform == "linux":
            self._clocks.append(time.pthread_getcpuclockid(threading.get_ident()))

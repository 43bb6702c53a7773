"""A thread that reads a SQLite file beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.sqlite.file import engine_errors
from ordergate.adapters.sql.sqlite.watched_file import WatchedConnection, WatchedFile
from ordergate.adapters.sql.statement_spans import carry_trace


class SqliteReader:
    """Runs reads sequentially on a thread with one connection.

    A read that is cancelled before it starts is skipped.
    """

    def __init__(self, file: WatchedFile, name: str) -> None:
        self._file = file
        self._connection = WatchedConnection(file)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run a read and return its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._read, carry_trace(work))

    async def close(self) -> None:
        """Finish all earlier reads and release the file."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    def _read(self, work: Callable[[Connection], T]) -> T:
        with engine_errors(self._file.path):
            return work(self._connection.current())

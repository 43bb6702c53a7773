"""The thread of a SQLite file that reads what is large, beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Connection, Engine

from adapters.sql.database import T
from adapters.sql.sqlite_file import FileIdentity, engine_errors, engine_of, identity_of


class SqliteReader:
    """A thread and one connection, kept as long as the file is the same.

    Reads follow each other. Whoever gives up before a read has begun is not served.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine: Engine = engine_of(path)
        self._connection: Connection | None = None
        self._opened: FileIdentity = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-reader")

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run a read and return what it returned."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    async def close(self) -> None:
        """Wait for all that was asked for before, and let the file go."""
        await asyncio.to_thread(self._thread.shutdown)
        self._disconnect()

    def _read(self, work: Callable[[Connection], T]) -> T:
        with engine_errors(self._path):
            now = identity_of(self._path)
            if now != self._opened:
                self._disconnect()
            if self._connection is None:
                self._connection = self._engine.connect()
                self._opened = now
            return work(self._connection)

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

"""Writes for tests of the writer, and a writer that is paused."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Self, cast

from sqlalchemy import Connection, text

from ordergate.adapters.sql.sqlite.database import SqliteDatabase


def insert_user(name: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(
            text("INSERT INTO users (username, password_hash) VALUES (:name, '')"), {"name": name}
        )
        return name

    return work


def names_in(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name for (name,) in connection.execute("SELECT username FROM users")}


class HeldWriter:
    """A writer that pauses in its first write, and then continues."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.statements: list[str] = []
        self._begun = asyncio.Event()
        self._go_on = threading.Event()
        self._first: asyncio.Task[str]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def work(connection: Connection) -> str:
            engine = cast("sqlite3.Connection", connection.connection.dbapi_connection)
            engine.set_trace_callback(self.statements.append)
            loop.call_soon_threadsafe(self._begun.set)
            assert self._go_on.wait(10)
            return "first"

        self._first = asyncio.create_task(self.database.write(work))
        await self._begun.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go_on.set()
        await asyncio.gather(self._first, return_exceptions=True)

    async def queue(self, *works: Callable[[Connection], object]) -> list[asyncio.Task[object]]:
        tasks = [asyncio.create_task(self._write(work)) for work in works]
        await asyncio.sleep(0)  # each has put its work into the queue
        return tasks

    async def _write(self, work: Callable[[Connection], object]) -> object:
        return await self.database.write(work)

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")


async def outcomes(tasks: list[asyncio.Task[object]]) -> list[object]:
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(each) if isinstance(each, BaseException) else each for each in results]

"""Statements and transactions on connections that may be lost at any point."""

from collections.abc import Callable
from typing import cast

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.postgres.connecting.connection import PostgresConnection
from ordergate.adapters.sql.postgres.errors import (
    FAILURES,
    AmbiguousCommitError,
    SilentConnectionError,
    is_commit_ambiguous,
    is_lost,
    unwrap_cause,
)


async def run_work(connection: AsyncConnection, work: Callable[[Connection], T]) -> T:
    """Run work; remove the connection from the pool if it is lost."""
    driver = _driver_connection(connection)
    try:
        return await connection.run_sync(work)
    except FAILURES as error:
        if not is_lost(unwrap_cause(error)):
            raise
        driver.terminate()  # a silent server would not answer a termination
        await connection.invalidate()
        if isinstance(error, TimeoutError) and driver.idle_since is not None:
            raise SilentConnectionError from None
        raise


async def run_transaction(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Run work and commit it. Raises `AmbiguousCommitError` where that may be lost."""
    async with engine.connect() as connection:
        result = await run_work(connection, work)
        driver = _driver_connection(connection)
        if driver.is_closed():
            await connection.invalidate()
            raise ConnectionError
        driver.committing, driver.replication_wait_cancelled = True, False
        try:
            await connection.commit()
        except FAILURES as error:
            # Whatever it was, SQLAlchemy would hand the connection on without rolling back.
            await connection.invalidate()
            if is_commit_ambiguous(unwrap_cause(error)):
                raise AmbiguousCommitError("the connection was lost during COMMIT") from None
            raise
        driver.committing = False
        if driver.replication_wait_cancelled:
            raise AmbiguousCommitError("COMMIT stopped waiting for a synchronous standby")
        return result


def _driver_connection(connection: AsyncConnection) -> PostgresConnection:
    """Return the driver's connection without a switch of greenlets."""
    if connection.sync_connection is None:
        raise ConnectionError
    return cast("PostgresConnection", connection.sync_connection.connection.driver_connection)

"""Statements and transactions on connections that may be lost at any point."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from sqlalchemy import Connection, PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import greenlet_spawn

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.server.connection import ServerConnection
from ordergate.adapters.sql.server.errors import (
    AmbiguousCommitError,
    DriverErrors,
    SilentConnectionError,
    unwrap_cause,
)
from ordergate.adapters.sql.statement_spans import trace_commit


async def run_work(
    connection: AsyncConnection, work: Callable[[Connection], T], errors: DriverErrors
) -> T:
    """Run work; remove the connection from the pool if it is lost."""
    driver = _get_driver_connection(connection)
    try:
        return await connection.run_sync(work)
    except errors.failures as error:
        if not errors.is_lost(unwrap_cause(error)):
            raise
        driver.terminate()  # a silent server would not answer a termination
        await connection.invalidate()
        if isinstance(error, TimeoutError) and driver.idle_since is not None:
            raise SilentConnectionError from None
        raise


async def run_transaction(
    engine: AsyncEngine, work: Callable[[Connection], T], errors: DriverErrors
) -> T:
    """Run work and commit it. Raises `AmbiguousCommitError` where that may be lost."""
    async with engine.connect() as connection:
        result = await run_work(connection, work, errors)
        driver = _get_driver_connection(connection)
        if driver.is_closed():
            await connection.invalidate()
            raise ConnectionError
        driver.committing, driver.unconfirmed = True, None
        try:
            with trace_commit(driver.server):
                await connection.commit()
        except errors.failures as error:
            # Whatever it was, SQLAlchemy would hand the connection on without rolling back.
            await connection.invalidate()
            if errors.is_commit_ambiguous(unwrap_cause(error)):
                raise AmbiguousCommitError("the connection was lost during COMMIT") from None
            raise
        driver.committing = False
        if driver.unconfirmed is not None:
            raise AmbiguousCommitError(driver.unconfirmed)
        return result


async def read_by_driver(
    engine: AsyncEngine, run: Callable[[ServerConnection], Awaitable[T]], errors: DriverErrors
) -> T:
    """Run a reading statement on the driver's connection.

    Raises `SilentConnectionError` like `run_work`.
    """
    async with _lend_driver(engine) as (pooled, driver):
        try:
            return await run(driver)
        except errors.failures as error:
            if not errors.is_lost(unwrap_cause(error)):
                raise
            driver.terminate()
            pooled.invalidate()
            if isinstance(error, TimeoutError) and driver.idle_since is not None:
                raise SilentConnectionError from None
            raise


async def write_by_driver(
    engine: AsyncEngine, run: Callable[[ServerConnection], Awaitable[T]], errors: DriverErrors
) -> T:
    """Run a statement that the server commits itself, on the driver's connection.

    Raises `AmbiguousCommitError` where it may be committed, or where that may be lost, and
    `SilentConnectionError` for a connection that was idle and has gone silent.
    """
    async with _lend_driver(engine) as (pooled, driver):
        driver.unconfirmed = None
        try:
            result = await run(driver)
        except errors.failures as error:
            cause = unwrap_cause(error)
            if not errors.is_lost(cause):
                raise
            await driver.disconnect()  # cancels a wait for a standby; its session would stay
            pooled.invalidate()
            if driver.unconfirmed is not None:
                raise AmbiguousCommitError(driver.unconfirmed) from None
            if isinstance(error, TimeoutError) and driver.idle_since is not None:
                raise SilentConnectionError(ambiguous=True) from None
            if errors.is_commit_ambiguous(cause):
                raise AmbiguousCommitError("the connection was lost during a statement") from None
            raise
        if driver.unconfirmed is not None:
            raise AmbiguousCommitError(driver.unconfirmed)
        return result


@asynccontextmanager
async def _lend_driver(
    engine: AsyncEngine,
) -> AsyncIterator[tuple[PoolProxiedConnection, ServerConnection]]:
    """Lend a pooled connection; that of a cancelled caller is closed."""
    pooled = await engine.raw_connection()
    driver = cast("ServerConnection", pooled.driver_connection)
    try:
        yield pooled, driver
    except asyncio.CancelledError:
        await asyncio.shield(driver.disconnect())
        pooled.invalidate()
        raise
    finally:
        pool = engine.pool
        if isinstance(pool, QueuePool) and pool.overflow() > 0:
            await greenlet_spawn(pooled.close)  # a full pool closes it, and waits for the server
        else:
            pooled.close()


def _get_driver_connection(connection: AsyncConnection) -> ServerConnection:
    """Return the driver's connection without a switch of greenlets."""
    if connection.sync_connection is None:
        raise ConnectionError
    return cast("ServerConnection", connection.sync_connection.connection.driver_connection)

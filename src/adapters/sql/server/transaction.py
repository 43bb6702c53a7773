"""Statements and transactions on connections that may be lost at any point."""

from collections.abc import Callable
from typing import cast

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ordergate.adapters.sql.database import T
from ordergate.adapters.sql.server.connection import ServerConnection
from ordergate.adapters.sql.server.errors import (
    AmbiguousCommitError,
    DriverErrors,
    SilentConnectionError,
    unwrap_cause,
)


async def run_work(
    connection: AsyncConnection, work: Callable[[Connection], T], errors: DriverErrors
) -> T:
    """Run work; remove the connection from the pool if it is lost."""
    driver = _driver_connection(connection)
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
        driver = _driver_connection(connection)
        if driver.is_closed():
            await connection.invalidate()
            raise ConnectionError
        driver.committing, driver.unconfirmed = True, None
        try:
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


async def run_statement(
    engine: AsyncEngine, work: Callable[[Connection], T], errors: DriverErrors
) -> T:
    """Run a writing statement that the server commits itself.

    Raises `AmbiguousCommitError` where it may be committed, or where that may be lost, and
    `SilentConnectionError` for a connection that was idle and has gone silent.
    """
    async with engine.connect() as connection:
        driver = _driver_connection(connection)
        driver.committing, driver.unconfirmed = True, None
        try:
            result = await connection.run_sync(work)
        except errors.failures as error:
            cause = unwrap_cause(error)
            if not errors.is_lost(cause):
                driver.committing = False
                raise
            await driver.disconnect()  # cancels a wait for a standby; its session would stay
            await connection.invalidate()
            if driver.unconfirmed is not None:
                raise AmbiguousCommitError(driver.unconfirmed) from None
            if isinstance(error, TimeoutError) and driver.idle_since is not None:
                raise SilentConnectionError(ambiguous=True) from None
            if errors.is_commit_ambiguous(cause):
                raise AmbiguousCommitError("the connection was lost during a statement") from None
            raise
        driver.committing = False
        if driver.unconfirmed is not None:
            raise AmbiguousCommitError(driver.unconfirmed)
        return result


def _driver_connection(connection: AsyncConnection) -> ServerConnection:
    """Return the driver's connection without a switch of greenlets."""
    if connection.sync_connection is None:
        raise ConnectionError
    return cast("ServerConnection", connection.sync_connection.connection.driver_connection)

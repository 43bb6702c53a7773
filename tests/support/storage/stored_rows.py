"""Rows of other versions, stored past the rules of today."""

import sqlite3
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx2
from sqlalchemy import Connection, text

from ordergate.adapters.sql.database import Database
from ordergate.application.ports.storage import Storage
from ordergate.domain.user import Password, PasswordHash
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.doubles import InstantPasswordHasher
from tests.support.program.command import PASSWORD


async def run(database: Database, *statements: str) -> None:
    for statement in statements:
        await database.write(partial(Connection.execute, statement=text(statement)))


def corrupt(file: Path, *statements: str) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for statement in statements:
        connection.execute(statement)
    connection.close()


async def served(storage: Storage) -> httpx2.AsyncClient:
    container = Container(
        settings=Settings(signing_secret="a secret of more than thirty-two bytes"),
        storage=storage,
        hasher=InstantPasswordHasher(),
    )
    transport = httpx2.ASGITransport(create_app(container), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://in.process")


async def hashed(password: str = PASSWORD) -> PasswordHash:
    return await InstantPasswordHasher().hash(Password(password))


AT = datetime(2026, 5, 1, 12, tzinfo=UTC)

